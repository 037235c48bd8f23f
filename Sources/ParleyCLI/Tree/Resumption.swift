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
        func text(_ bytes: [UInt8]) -> [UInt8] { Array("-\(String(XXHash64.hash(bytes), radix: 36))".utf8) }
        let file = Array("\(sender ?? "") ".utf8) + path.bytes
        let ofAnyVersion = Self.prefix + path.name.cut(to: Self.nameBytes) + text(file)
        return PartName(bytes: ofAnyVersion + text(version) + Self.suffix, ofAnyVersion: ofAnyVersion)
    }

    /// Whether a name may be that of a part.
    static func isPart(_ name: [UInt8]) -> Bool {
        name.starts(with: prefix) && name.suffix(suffix.count).elementsEqual(suffix)
    }
}
