/// The number by which gob refers to a type.
struct GOBTypeID: RawRepresentable, Hashable, Sendable {
    let rawValue: Int32

    static let bool = GOBTypeID(rawValue: 1)
    static let int = GOBTypeID(rawValue: 2)
    static let uint = GOBTypeID(rawValue: 3)
    static let float = GOBTypeID(rawValue: 4)
    static let bytes = GOBTypeID(rawValue: 5)
    static let string = GOBTypeID(rawValue: 6)
    static let complex = GOBTypeID(rawValue: 7)
    static let interface = GOBTypeID(rawValue: 8)
    /// Smaller ids are reserved for gob. Go's encoder starts at 64 or, in older releases, at 65.
    static let firstUserDefined = GOBTypeID(rawValue: 64)
}

/// A type that the sender defined, reduced to what reading and skipping its values needs.
enum GOBType: Sendable {
    case array(element: GOBTypeID, count: Int)
    case slice(element: GOBTypeID)
    case structure(GOBStructure)
    case map(key: GOBTypeID, element: GOBTypeID)
    /// A GobEncoder, BinaryMarshaler or TextMarshaler: its values are opaque bytes.
    case opaque
}

/// A struct type that the sender defined.
struct GOBStructure: Sendable {
    /// The fields of the reference's RPC. Gob matches fields by name, in any order.
    enum Role: String, CaseIterable, Sendable {
        case from = "From"
        case payload = "Payload"
        case stream = "Stream"

        /// The only type that Go accepts for the field.
        var type: GOBTypeID {
            switch self {
            case .from: .string
            case .payload: .bytes
            case .stream: .bool
            }
        }

        /// The type's name in Go, for error messages.
        var goType: String {
            switch self {
            case .from: "string"
            case .payload: "[]byte"
            case .stream: "bool"
            }
        }
    }

    struct Field: Sendable {
        let type: GOBTypeID
        /// The RPC field that it is; nil for a field to skip.
        let role: Role?
    }

    /// Whether values of this struct can be read as an RPC.
    enum Match: Sendable {
        case matches
        /// It has none of the RPC's fields.
        case nothingInCommon
        /// This field has the right name and the wrong type.
        case wrongType(Role)
    }

    let fields: [Field]
    /// Computed once, when the type is defined: a message may have a few bytes while its type has thousands
    /// of fields.
    let match: Match

    init(fields: [Field]) {
        self.fields = fields
        let roles = fields.lazy.compactMap { field in field.role.map { (role: $0, type: field.type) } }
        if let wrong = roles.first(where: { $0.type != $0.role.type }) {
            match = .wrongType(wrong.role)
        } else {
            match = roles.isEmpty ? .nothingInCommon : .matches
        }
    }
}

/// The types that the sender has defined on this connection.
///
/// A fresh encoder of the sender starts its ids over: its definitions replace older ones with the same id.
struct GOBTypes: Sendable {
    /// The most types one connection may define.
    static let maxTypes = 1_024
    /// The most struct fields that all types together may have.
    static let maxFields = 16_384

    private var types: [GOBTypeID: GOBType] = [:]
    private var fieldCount = 0

    subscript(id: GOBTypeID) -> GOBType? { types[id] }

    /// About how much memory they take: an entry of the dictionary with its array, and the fields.
    var retainedBytes: Int { types.count * 96 + fieldCount * MemoryLayout<GOBStructure.Field>.stride }

    /// Reads the definition of `id`, a gob `wireType`: a struct with one field for each kind of type, of
    /// which exactly one is set.
    mutating func define(_ id: GOBTypeID, from reader: inout GOBReader) throws(ParleyError) {
        guard id.rawValue >= GOBTypeID.firstUserDefined.rawValue else {
            throw reader.violation("the type id \(id.rawValue) is gob's own and cannot be defined")
        }
        let replaced = types[id]
        guard replaced != nil || types.count < Self.maxTypes else {
            throw reader.violation("more than \(Self.maxTypes) types are defined")
        }
        let otherFields = fieldCount - (replaced?.fieldCount ?? 0)
        let type = try reader.wireType(id, maxFields: Self.maxFields - otherFields)
        types[id] = type
        fieldCount = otherFields + type.fieldCount
    }
}

extension GOBType {
    fileprivate var fieldCount: Int {
        if case .structure(let structure) = self { structure.fields.count } else { 0 }
    }
}

// MARK: - Definitions

extension GOBReader {
    fileprivate mutating func wireType(_ id: GOBTypeID, maxFields: Int) throws(ParleyError) -> GOBType {
        var type: GOBType?
        var field = -1
        while let next = try nextField(after: field, of: 7, in: "wireType") {
            guard type == nil else {
                throw violation("the type \(id.rawValue) is defined as two kinds at once")
            }
            field = next
            type =
                switch field {
                case 0: try arrayType()
                case 1: try sliceType()
                case 2: try structType(maxFields: maxFields)
                case 3: try mapType()
                default: try opaqueType()
                }
        }
        guard let type else {
            throw violation("the type \(id.rawValue) is defined as no kind at all")
        }
        return type
    }

    private mutating func arrayType() throws(ParleyError) -> GOBType {
        var element = GOBTypeID(rawValue: 0)
        var count: Int64 = 0
        var field = -1
        while let next = try nextField(after: field, of: 3, in: "ArrayType") {
            field = next
            switch field {
            case 0: try skipCommonType()
            case 1: element = try typeID("the type of an array's elements")
            default: count = try int("the length of an array type")
            }
        }
        guard let count = Int(exactly: count), count >= 0 else {
            throw violation("an array type has the length \(count)")
        }
        return .array(element: element, count: count)
    }

    private mutating func sliceType() throws(ParleyError) -> GOBType {
        var element = GOBTypeID(rawValue: 0)
        var field = -1
        while let next = try nextField(after: field, of: 2, in: "SliceType") {
            field = next
            switch field {
            case 0: try skipCommonType()
            default: element = try typeID("the type of a slice's elements")
            }
        }
        return .slice(element: element)
    }

    private mutating func mapType() throws(ParleyError) -> GOBType {
        var key = GOBTypeID(rawValue: 0)
        var element = GOBTypeID(rawValue: 0)
        var field = -1
        while let next = try nextField(after: field, of: 3, in: "MapType") {
            field = next
            switch field {
            case 0: try skipCommonType()
            case 1: key = try typeID("the type of a map's keys")
            default: element = try typeID("the type of a map's elements")
            }
        }
        return .map(key: key, element: element)
    }

    private mutating func opaqueType() throws(ParleyError) -> GOBType {
        var field = -1
        while let next = try nextField(after: field, of: 1, in: "gobEncoderType") {
            field = next
            try skipCommonType()
        }
        return .opaque
    }

    private mutating func structType(maxFields: Int) throws(ParleyError) -> GOBType {
        var fields: [GOBStructure.Field] = []
        var field = -1
        while let next = try nextField(after: field, of: 2, in: "StructType") {
            field = next
            switch field {
            case 0: try skipCommonType()
            default:
                let count = try count("the count of a struct's fields", limit: min(remaining, maxFields))
                fields.reserveCapacity(count)
                for _ in 0..<count { fields.append(try fieldType()) }
            }
        }
        return .structure(GOBStructure(fields: fields))
    }

    private mutating func fieldType() throws(ParleyError) -> GOBStructure.Field {
        var role: GOBStructure.Role?
        var type = GOBTypeID(rawValue: 0)
        var field = -1
        while let next = try nextField(after: field, of: 2, in: "FieldType") {
            field = next
            switch field {
            case 0:
                let name = try block("a field's name")
                role = GOBStructure.Role.allCases.first { name.elementsEqual($0.rawValue.utf8) }
            default: type = try typeID("a field's type")
            }
        }
        return GOBStructure.Field(type: type, role: role)
    }

    /// Skips a type's name and the repetition of its id. Neither is needed; Go ignores that id too.
    private mutating func skipCommonType() throws(ParleyError) {
        var field = -1
        while let next = try nextField(after: field, of: 2, in: "CommonType") {
            field = next
            switch field {
            case 0: _ = try block("a type's name")
            default: _ = try int("a type's id")
            }
        }
    }
}
