import Parley

/// A name that a received file may have: one plain component of a path, which cannot lead out of its
/// directory and is safe to show.
struct FileName: Equatable {
    /// What common file systems allow.
    static let maxBytes = 255

    let text: String

    /// - Throws: what is wrong with it.
    init(checking bytes: some Collection<UInt8>) throws(Refusal) {
        func refusal(_ why: String) -> Refusal { Refusal("the name \(Self.quote(bytes)) \(why)") }
        guard !bytes.isEmpty else { throw refusal("is empty") }
        guard bytes.count <= Self.maxBytes else {
            throw refusal("is \(bytes.count) bytes long, more than \(Self.maxBytes)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw refusal("is not UTF-8") }
        guard text.unicodeScalars.allSatisfy(\.isPrintable) else { throw refusal("has a control character") }
        guard !bytes.contains(UInt8(ascii: "/")) else { throw refusal("has a path separator") }
        guard text != ".", text != ".." else { throw refusal("means a directory") }
        self.text = text
    }

    /// For a sentence: safe to print and not too long.
    private static func quote(_ bytes: some Collection<UInt8>) -> String {
        let shown = bytes.prefix(64)
        return "\"\(String(printable: shown))\(shown.count < bytes.count ? "..." : "")\""
    }
}
