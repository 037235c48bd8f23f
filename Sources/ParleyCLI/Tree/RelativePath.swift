import Parley

/// Where an entry lies below the folder that is received into: names with `/` between them, which cannot lead
/// out of it. Names are bytes, as in the file system: any but `/` and NUL, in no particular encoding.
struct RelativePath: Hashable {
    /// What common file systems allow for one name.
    static let maxNameBytes = 255
    static let maxBytes = 16_384

    let bytes: [UInt8]

    /// Checks a path that came from somebody else.
    ///
    /// - Throws: what is wrong with it.
    init(checking bytes: some Collection<UInt8>) throws(Refusal) {
        func refusal(_ why: String) -> Refusal { Refusal("the name \(Self.quote(bytes)) \(why)") }
        guard !bytes.isEmpty else { throw refusal("is empty") }
        guard bytes.count <= Self.maxBytes else {
            throw refusal("is \(bytes.count) bytes long, more than \(Self.maxBytes)")
        }
        guard !bytes.contains(0) else { throw refusal("has a NUL byte") }
        guard bytes.first != slash else { throw refusal("is absolute") }
        for name in bytes.split(separator: slash, omittingEmptySubsequences: false) {
            guard !name.isEmpty else { throw refusal("has an empty part") }
            guard !name.isDots else { throw refusal("leads out of its folder, or to it") }
            guard name.count <= Self.maxNameBytes else {
                throw refusal("has a part of \(name.count) bytes, more than \(Self.maxNameBytes)")
            }
        }
        self.bytes = Array(bytes)
    }

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }

    /// An entry of the folder that this path names. The name is one that the file system gave.
    func appending(_ name: [UInt8]) -> RelativePath { RelativePath(unchecked: bytes + [slash] + name) }

    /// The names, the outermost first.
    var names: [ArraySlice<UInt8>] { bytes.split(separator: slash) }

    /// The first name.
    var root: ArraySlice<UInt8> { bytes.prefix { $0 != slash } }

    /// The last name.
    var name: ArraySlice<UInt8> { bytes[(lastSlash.map { $0 + 1 } ?? 0)...] }

    /// The path of the folder that it lies in; empty for the folder that is received into.
    var parent: ArraySlice<UInt8> { bytes[..<(lastSlash ?? 0)] }

    private var lastSlash: Int? { bytes.lastIndex(of: slash) }

    /// Text that is safe to show.
    var shown: String { String(printable: bytes) }

    /// For a sentence: safe to print and not too long.
    private static func quote(_ bytes: some Collection<UInt8>) -> String {
        let shown = bytes.prefix(64)
        return "\"\(String(printable: shown))\(shown.count < bytes.count ? "..." : "")\""
    }
}

/// The separator of names.
let slash = UInt8(ascii: "/")

extension Collection<UInt8> {
    /// Whether this is `.` or `..`, which name no entry of their own.
    var isDots: Bool { (1...2).contains(count) && allSatisfy { $0 == UInt8(ascii: ".") } }

    /// At most so many bytes of the beginning, cut between two characters of UTF-8.
    func cut(to maxBytes: Int) -> [UInt8] {
        guard count > maxBytes else { return Array(self) }
        // The byte behind the cut begins a character.
        var kept = Array(prefix(maxBytes + 1))
        while let last = kept.popLast(), last & 0xC0 == 0x80 {}
        return kept
    }

    /// Whether this is a name that listings leave out.
    var isHidden: Bool { first == UInt8(ascii: ".") }
}
