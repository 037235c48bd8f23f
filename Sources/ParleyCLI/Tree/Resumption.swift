/// What a part of a file is called that a later transfer goes on with.
struct Resumption {
    /// Whoever sends; nil without an id. Nobody goes on with another one's part.
    let sender: String?

    private static let prefix = Array(".parley-".utf8)
    private static let suffix = Array(".part".utf8)
    /// So much of a file's own name is in the name of its part, for people.
    private static let nameBytes = 100

    /// The name of a part.
    struct PartName: Equatable {
        let bytes: [UInt8]
        /// What the names of the parts of all versions of that file begin with.
        let ofAnyVersion: [UInt8]
    }

    /// The name for this file as it is now: of this size, and of this time of its last change.
    func partName(of path: RelativePath, byteCount: Int, _ metadata: Metadata?) -> PartName {
        var version = Array("\(byteCount) ".utf8)
        if let modified = metadata?.modified {
            version += "\(modified.seconds) \(modified.nanoseconds) ".utf8
        }
        func text(_ bytes: [UInt8]) -> [UInt8] { Array("-\(PartNumber.text(XXHash64.hash(bytes)))".utf8) }
        let file = Array("\(sender ?? "") ".utf8) + path.bytes
        let ofAnyVersion = Self.prefix + path.name.cut(to: Self.nameBytes) + text(file)
        return PartName(bytes: ofAnyVersion + text(version) + Self.suffix, ofAnyVersion: ofAnyVersion)
    }

    /// A name of a part that nobody goes on with. It is short: a suffix could make the entry's own name
    /// longer than names can be.
    static func temporaryName() -> [UInt8] {
        prefix + PartNumber.text(UInt64.random(in: .min ... .max)).utf8 + suffix
    }

    /// Whether a name is one of those that are made here.
    static func isPart(_ name: some Collection<UInt8>) -> Bool {
        let name = Array(name)
        guard name.count >= prefix.count + suffix.count, name.starts(with: prefix),
            name.suffix(suffix.count).elementsEqual(suffix)
        else {
            return false
        }
        let inner = name[prefix.count..<(name.count - suffix.count)]
        if PartNumber.isText(inner) { return true }
        let texts = inner.suffix(2 * (PartNumber.digits + 1)).split(
            separator: UInt8(ascii: "-"),
            omittingEmptySubsequences: false
        )
        return texts.count == 3 && texts[0].isEmpty && texts.dropFirst().allSatisfy { PartNumber.isText($0) }
    }
}

/// A number in the name of a part. It has all of its digits, so that hardly any name of somebody's own looks
/// like it.
enum PartNumber {
    /// As many as the largest number has.
    static let digits = 13
    private static let radix = 36

    static func text(_ number: UInt64) -> String {
        String(number, radix: radix).padded(to: digits, with: "0")
    }

    static func isText(_ bytes: some Collection<UInt8>) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        return UInt64(text, radix: radix).map { Self.text($0) } == text
    }
}
