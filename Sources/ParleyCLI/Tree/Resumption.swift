/// What a part of a file is called that a later transfer goes on with.
struct Resumption {
    /// Whoever sends; nil without an id. Nobody goes on with another one's part.
    let sender: String?

    private static let prefix = Array(".parley-".utf8)
    private static let suffix = Array(".part".utf8)
    /// So much of a file's own name is in the name of its part, for people.
    private static let nameBytes = 100

    /// The name for this file as it is now: of this size, and of this time of its last change.
    func partName(of path: RelativePath, byteCount: Int, _ metadata: Metadata?) -> [UInt8] {
        var identity = Array("\(sender ?? "") \(byteCount) ".utf8)
        if let modified = metadata?.modified {
            identity += "\(modified.seconds) \(modified.nanoseconds) ".utf8
        }
        let hash = String(XXHash64.hash(identity + path.bytes), radix: 36)
        return Self.prefix + path.name.prefix(Self.nameBytes) + Array("-\(hash)".utf8) + Self.suffix
    }

    /// Whether a name may be that of a part.
    static func isPart(_ name: [UInt8]) -> Bool {
        name.starts(with: prefix) && name.suffix(suffix.count).elementsEqual(suffix)
    }
}
