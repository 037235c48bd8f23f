import Parley

/// A JSON object in one line, with its fields in the order in which they were given.
struct JSONObject: Equatable {
    enum Value: Equatable {
        case text(String)
        case number(Int)
        /// With three decimals.
        case decimal(Double)
        case null
    }

    private let fields: [(name: String, value: Value)]

    init(_ fields: [(name: String, value: Value)]) { self.fields = fields }

    static func == (one: JSONObject, other: JSONObject) -> Bool {
        one.fields.elementsEqual(other.fields) { $0 == $1 }
    }

    var text: String {
        "{" + fields.map { "\(Self.quoted($0.name)):\(Self.text($0.value))" }.joined(separator: ",") + "}"
    }

    private static func text(_ value: Value) -> String {
        switch value {
        case .text(let text): quoted(text)
        case .number(let number): "\(number)"
        case .decimal(let number): number.text(decimals: 3)
        case .null: "null"
        }
    }

    /// Source: RFC 8259, section 7. Other characters that are not safe to print are escaped, too.
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\n": quoted += "\\n"
            case _ where String(scalar).printable == String(scalar): quoted.unicodeScalars.append(scalar)
            default:
                for unit in UTF16.encode(scalar) ?? UTF16.EncodedScalar() {
                    quoted += "\\u" + String(unit, radix: 16).padded(to: 4, with: "0")
                }
            }
        }
        return quoted + "\""
    }
}
