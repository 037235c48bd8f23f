/// Reads one RPC value: it keeps the fields Payload and Stream and skips everything else.
///
/// Go ends a message in the middle of a value where an interface holds a value whose type is not defined yet;
/// the rest follows in the next message. So reading can stop there and resume. Its position is an explicit
/// stack instead of the call stack, so that a limit bounds the nesting of values.
///
/// What is skipped is read piece by piece, so its bytes have a limit of their own: a message of mebibytes in
/// which each byte is an element would hold the loop for as long as it takes to skip them.
struct GOBValueReader: Sendable {
    /// How deep values may nest: as deep as Go lets the types of skipped fields nest.
    static let maxNesting = 10_000

    /// A value with parts that is being read, and the position inside it.
    private enum Container: Sendable {
        case structure(GOBStructure, lastField: Int)
        /// An array or a slice.
        case elements(of: GOBTypeID, left: Int)
        /// A map. `left` counts keys and elements together: a key is next when it is even.
        case pairs(key: GOBTypeID, element: GOBTypeID, left: Int)
        /// An interface. The name of its concrete type is read; definitions may follow, then the type's id.
        case interface
    }

    /// The open containers, the innermost last.
    private var stack: [Container] = []
    private let limits: GOBLimits
    /// How many bytes the open value has had in earlier messages.
    private var earlierBytes = 0

    /// The field Payload as a slice of its message; empty when it was not sent.
    private(set) var payload: ArraySlice<UInt8> = []
    /// The field Stream; false when it was not sent.
    private(set) var isStream = false

    init(limits: GOBLimits) { self.limits = limits }

    /// Whether a value has begun and not ended.
    var isOpen: Bool { !stack.isEmpty }

    /// How much memory the open value takes: its earlier messages, and its nesting.
    var retainedBytes: Int { earlierBytes + stack.capacity * MemoryLayout<Container>.stride }

    /// Begins a value of the type `id`. Throws when that type cannot be read as an RPC.
    mutating func begin(
        _ id: GOBTypeID,
        _ reader: inout GOBReader,
        _ types: GOBTypes
    ) throws(ParleyError) {
        guard case .structure(let structure) = types[id] else {
            throw reader.violation("a value of the type \(id.rawValue), which is not a defined struct")
        }
        switch structure.match {
        case .matches: break
        case .nothingInCommon:
            throw reader.violation(
                "the struct \(id.rawValue) has none of the fields From, Payload and Stream"
            )
        case .wrongType(let role):
            throw reader.violation(
                "the field \(role.rawValue) of the struct \(id.rawValue) is not a \(role.goType)"
            )
        }
        payload = []
        isStream = false
        earlierBytes = 0
        stack.append(.structure(structure, lastField: -1))
    }

    /// Reads on in the value; returns false when it continues in the next message.
    mutating func resume(
        _ reader: inout GOBReader,
        _ types: inout GOBTypes
    ) throws(ParleyError) -> Bool {
        while let container = stack.popLast() {
            switch container {
            case .structure(let structure, let last):
                try readField(of: structure, after: last, &reader, types)
            case .elements(let type, let left):
                guard left > 0 else { continue }
                stack.append(.elements(of: type, left: left - 1))
                try open(type, &reader, types)
            case .pairs(let key, let element, let left):
                guard left > 0 else { continue }
                stack.append(.pairs(key: key, element: element, left: left - 1))
                try open(left.isMultiple(of: 2) ? key : element, &reader, types)
            case .interface:
                guard try openInterface(&reader, &types) else {
                    earlierBytes += reader.readBytes
                    return false
                }
            }
            try checkOverhead(reader)
        }
        if stack.capacity > Self.idleStackCapacity { stack = [] }
        return true
    }

    /// Returns the payload and forgets it, so that its block is not retained until the next message.
    mutating func takePayload() -> ArraySlice<UInt8> {
        defer { payload = [] }
        return payload
    }

    /// Refuses a value with too many bytes beside its payload. Checked after each step, which takes at least
    /// one such byte: so the number of steps is bounded too.
    private func checkOverhead(_ reader: GOBReader) throws(ParleyError) {
        guard earlierBytes + reader.readBytes - payload.count <= limits.overheadBytes else {
            throw reader.violation("a value has more than \(limits.overheadBytes) bytes beside its Payload")
        }
    }

    /// The largest stack that an idle connection keeps.
    private static let idleStackCapacity = 16
}

// MARK: - Steps

extension GOBValueReader {
    /// Reads the next field of a struct, or its end.
    private mutating func readField(
        of structure: GOBStructure,
        after last: Int,
        _ reader: inout GOBReader,
        _ types: GOBTypes
    ) throws(ParleyError) {
        let isRoot = stack.isEmpty
        guard let number = try reader.nextField(after: last, of: structure.fields.count, in: "a struct")
        else { return }
        stack.append(.structure(structure, lastField: number))
        let field = structure.fields[number]
        switch (isRoot, field.role) {
        case (true, .payload):
            payload = try reader.block("the field Payload")
            guard payload.count <= limits.messageBytes else {
                throw reader.violation(
                    "a payload of \(payload.count) bytes is over the limit of \(limits.messageBytes)"
                )
            }
        case (true, .stream):
            isStream = try reader.uint("the field Stream") != 0
        default:
            try open(field.type, &reader, types)
        }
    }

    /// Skips a value without parts, or pushes a container for one with parts.
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
            // An empty name is a nil interface: no value follows.
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
            let count = try reader.count("the length of an array", limit: limits.overheadBytes)
            guard count == declared else {
                throw reader.violation("an array has \(count) elements, its type has \(declared)")
            }
            try push(.elements(of: element, left: count), reader)
        case .slice(let element):
            let count = try reader.count("the length of a slice", limit: limits.overheadBytes)
            try push(.elements(of: element, left: count), reader)
        case .map(let key, let element):
            let count = try reader.count("the length of a map", limit: limits.overheadBytes / 2)
            try push(.pairs(key: key, element: element, left: 2 * count), reader)
        case .structure(let structure):
            try push(.structure(structure, lastField: -1), reader)
        case .opaque:
            _ = try reader.block("a value with an encoding of its own")
        case nil:
            throw reader.violation("a value of the type \(id.rawValue), which is not defined")
        }
    }

    /// Reads what stands between the type name of an interface value and the value itself: type definitions,
    /// the type's id, and a length. Returns false when the message ends before the value.
    ///
    /// The value is read like any other instead of being skipped by its length. Where Go has to define a type
    /// it cuts a nested interface value in two, and the length covers the first part only.
    private mutating func openInterface(
        _ reader: inout GOBReader,
        _ types: inout GOBTypes
    ) throws(ParleyError) -> Bool {
        while reader.remaining > 0 {
            switch try reader.announcement() {
            case .definition(let id):
                try types.define(id, from: &reader)
                try checkOverhead(reader)
                // What follows in this message has a length prefix, as a new message would have.
                if reader.remaining > 0 { try skipLength(&reader) }
            case .value(let id):
                try skipLength(&reader)
                if case .structure(let structure) = types[id] {
                    try push(.structure(structure, lastField: -1), reader)
                } else {
                    // A value that is no struct comes as the only field of a struct without an end mark.
                    guard try reader.uint("the mark before an interface value") == 0 else {
                        throw reader.violation("the mark before an interface value is not zero")
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
        _ = try reader.count("the length of an interface value", limit: limits.overheadBytes)
    }

    private mutating func push(_ container: Container, _ reader: GOBReader) throws(ParleyError) {
        guard stack.count < Self.maxNesting else {
            throw reader.violation("a value nests deeper than \(Self.maxNesting) levels")
        }
        stack.append(container)
    }
}
