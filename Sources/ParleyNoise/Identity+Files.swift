public import Parley

// Identities in files.

extension Identity {
    /// Reads an identity from a file. Blocks on the disk.
    ///
    /// - Throws: ``ParleyError``: `fileNotFound`; `invalidIdentity` when the group or others have any access
    ///   to the file, or when it does not hold an identity; `permissionDenied`, `tooManyOpenFiles`, `system`.
    public static func load(from path: String) throws(ParleyError) -> Identity {
        let file = try File(reading: path, to: "use")
        guard try file.isPrivate() else {
            throw ParleyError(
                .invalidIdentity,
                "\(path) is open to others, so the identity in it is not used (chmod 600 mends it)"
            )
        }
        let size = try file.version().size
        guard size <= maxBytes else {
            throw ParleyError(.invalidIdentity, "\(path) is too long for an identity")
        }
        var bytes = try file.read(at: 0, count: size)
        return try Identity(Secret(wiping: &bytes), from: "the bytes of \(path)")
    }

    /// Writes the identity to a new file, which only its owner may read. The file appears whole or not at
    /// all. Blocks on the disk.
    ///
    /// - Throws: ``ParleyError``: `fileExists`, since an identity is never overwritten; `fileNotFound` when
    ///   there is no such directory; `permissionDenied`, `tooManyOpenFiles`, `system`.
    public func save(to path: String) throws(ParleyError) {
        let file = try NewFile(path, isPrivate: true)
        defer { file.discard() }
        try withPrivateKey { (bytes) throws(ParleyError) in
            var copy = [UInt8]()
            copy.append(copying: bytes)
            defer { wipe(&copy) }
            try file.write(copy[...])
        }
        try file.publish()
    }

    /// Reads an identity from a file, or makes one and writes it there when there is no such file. Of several
    /// processes that do so at once, all get the same identity. Blocks on the disk.
    ///
    /// - Throws: ``ParleyError``, as ``load(from:)`` and ``save(to:)``.
    public static func loadOrCreate(at path: String) throws(ParleyError) -> Identity {
        try loadOrCreate(at: path, onCreation: { _ in })
    }

    /// The same. Of several processes only the one that made the identity calls `onCreation` with it.
    package static func loadOrCreate(
        at path: String,
        onCreation: (Identity) -> Void
    ) throws(ParleyError) -> Identity {
        do { return try load(from: path) } catch {
            guard error.code == .fileNotFound else { throw error }
        }
        let identity = Identity()
        do { try identity.save(to: path) } catch {
            guard error.code == .fileExists else { throw error }
            return try load(from: path)
        }
        onCreation(identity)
        return identity
    }
}
