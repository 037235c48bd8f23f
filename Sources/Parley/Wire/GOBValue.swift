/// The walk over one value that is to become an RPC: it keeps two fields and steps over everything else.
///
/// Go ends a message in the middle of a value where an interface holds something whose type is not defined
/// yet: the rest follows in the next message. So the walk can stop there and resume. Its place is a stack of
/// its own and not the call stack, which also leaves the nesting of values to a limit and not to luck.
struct GOBValue: Sendable {
    /// How deep values may nest: as deep as Go lets the types of skipped fields nest.
    static let maxNesting = 10_000

    /// Where the walk is inside one value.
    private enum Frame: Sendable {
        case structure(GOBStructure, lastField: Int)
        /// An array's or a slice's.
        case elements(of: GOBTypeID, left: Int)
        /// `left` counts keys and elements alike: a key is next when it is even.
        case pairs(key: GOBTypeID, element: GOBTypeID, left: Int)
        /// The name of the concrete type has been read; definitions may follow, then its id.
        case interface
    }

    private var frames: [Frame] = []
    private let limits: GOBLimits

    /// The field Payload as a slice of the message it came in; empty when it was not sent.
    private(set) var payload: ArraySlice<UInt8> = []
    /// The field Stream; false when it was not sent.
    private(set) var isStream = false

    init(limits: GOBLimits) { self.limits = limits }

    /// Whether a value has begun and not ended.
    var isOpen: Bool { !frames.isEmpty }

    /// Begins a value of the type `id`.
    mutating func begin(
        _ id: GOBTypeID,
        _ reader: inout GOBReader,
        _ types: GOBTypes
    ) throws(ParleyError) {
        guard case .structure(let structure) = types[id] else {
            throw reader.fault("a value of the type \(id.rawValue), which is not a defined struct")
        }
        switch structure.match {
        case .matches: break
        case .nothingInCommon:
            throw reader.fault("the struct \(id.rawValue) has none of the fields From, Payload and Stream")
        case .wrongType(let role):
            throw reader.fault(
                "the field \(role.rawValue) of the struct \(id.rawValue) is not a \(role.goType)"
            )
        }
        payload = []
        isStream = false
        frames.append(.structure(structure, lastField: -1))
    }

    /// Goes on; returns false when the value continues in the next message.
    mutating func resume(
        _ reader: inout GOBReader,
        _ types: inout GOBTypes
    ) throws(ParleyError) -> Bool {
        while let frame = frames.popLast() {
            switch frame {
            case .structure(let structure, let last):
                try stepInto(structure, after: last, &reader, types)
            case .elements(let type, let left):
                guard left > 0 else { continue }
                frames.append(.elements(of: type, left: left - 1))
                try open(type, &reader, types)
            case .pairs(let key, let element, let left):
                guard left > 0 else { continue }
                frames.append(.pairs(key: key, element: element, left: left - 1))
                try open(left.isMultiple(of: 2) ? key : element, &reader, types)
            case .interface:
                guard try openInterface(&reader, &types) else { return false }
            }
        }
        if frames.capacity > Self.keptFrames { frames = [] }
        return true
    }

    /// Gives the payload away, so that the block it lies in is not held until the next message.
    mutating func takePayload() -> ArraySlice<UInt8> {
        defer { payload = [] }
        return payload
    }

    /// An idle connection keeps a stack of no more than this.
    private static let keptFrames = 16
}

// MARK: - Steps

extension GOBValue {
    private mutating func stepInto(
        _ structure: GOBStructure,
        after last: Int,
        _ reader: inout GOBReader,
        _ types: GOBTypes
    ) throws(ParleyError) {
        let isRoot = frames.isEmpty
        guard let number = try reader.nextField(after: last, of: structure.fields.count, in: "a struct")
        else { return }
        frames.append(.structure(structure, lastField: number))
        let field = structure.fields[number]
        switch (isRoot, field.role) {
        case (true, .payload):
            payload = try reader.block("the field Payload")
            guard payload.count <= limits.messageBytes else {
                throw reader.fault(
                    "a payload of \(payload.count) bytes is over the limit of \(limits.messageBytes)"
                )
            }
        case (true, .stream):
            isStream = try reader.uint("the field Stream") != 0
        default:
            try open(field.type, &reader, types)
        }
    }

    /// Skips a value without parts, or pushes the place where its parts begin.
    private mutating func open(
        _ id: GOBTypeID,
        _ reader: inout GOBReader,
        _ types: GOBTypes
    ) throws(ParleyError) {
        switch id {
        case .bool, .int, .uint, .float:
            _ = try reader.uint("a number")
        case .complex:
            _ = try reader.uint("the real part of a complex number")
            _ = try reader.uint("the imaginary part of a complex number")
        case .bytes, .string:
            _ = try reader.block("a string or byte slice")
        case .interface:
            // No name means no value.
            if try !reader.block("the type name of an interface value").isEmpty {
                try push(.interface, reader)
            }
        default:
            try openDefined(id, &reader, types)
        }
    }

    private mutating func openDefined(
        _ id: GOBTypeID,
        _ reader: inout GOBReader,
        _ types: GOBTypes
    ) throws(ParleyError) {
        switch types[id] {
        case .array(let element, let declared):
            let count = try reader.count("the length of an array", limit: limits.valueBytes)
            guard count == declared else {
                throw reader.fault("an array has \(count) elements, its type has \(declared)")
            }
            try push(.elements(of: element, left: count), reader)
        case .slice(let element):
            let count = try reader.count("the length of a slice", limit: limits.valueBytes)
            try push(.elements(of: element, left: count), reader)
        case .map(let key, let element):
            let count = try reader.count("the length of a map", limit: limits.valueBytes / 2)
            try push(.pairs(key: key, element: element, left: 2 * count), reader)
        case .structure(let structure):
            try push(.structure(structure, lastField: -1), reader)
        case .opaque:
            _ = try reader.block("a value with an encoding of its own")
        case nil:
            throw reader.fault("a value of the type \(id.rawValue), which is not defined")
        }
    }

    /// Reads what stands between the name of an interface value's type and the value; returns false at the
    /// end of the message.
    ///
    /// The value is walked like any other rather than skipped by its length: Go cuts a nested interface value
    /// in two where it has to define a type, and that length then covers the first part only.
    private mutating func openInterface(
        _ reader: inout GOBReader,
        _ types: inout GOBTypes
    ) throws(ParleyError) -> Bool {
        while reader.remaining > 0 {
            switch try reader.announcement() {
            case .definition(let id):
                try types.define(id, from: &reader)
                // What follows in this message has a length in front, just as another message would.
                if reader.remaining > 0 { try skipLength(&reader) }
            case .value(let id):
                try skipLength(&reader)
                if case .structure(let structure) = types[id] {
                    try push(.structure(structure, lastField: -1), reader)
                } else {
                    // A value that is no struct comes as the only field of one, without its end.
                    guard try reader.uint("the mark before an interface value") == 0 else {
                        throw reader.fault("the mark before an interface value is not zero")
                    }
                    try open(id, &reader, types)
                }
                return true
            }
        }
        try push(.interface, reader)
        return false
    }

    private func skipLength(_ reader: inout GOBReader) throws(ParleyError) {
        _ = try reader.count("the length of an interface value", limit: limits.valueBytes)
    }

    private mutating func push(_ frame: Frame, _ reader: GOBReader) throws(ParleyError) {
        guard frames.count < Self.maxNesting else {
            throw reader.fault("a value nests deeper than \(Self.maxNesting) levels")
        }
        frames.append(frame)
    }
}
