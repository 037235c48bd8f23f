#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file that is being written. It has a temporary name until ``publish()``, and is removed if it is never
/// published.
///
/// Its calls block on the disk, and are serialised.
package final class NewFile: Sendable {
    /// The path in error messages.
    package let path: String
    private let directory: Directory
    private let name: String
    /// A short random name: a suffix could make the file's own name longer than names can be.
    private let temporaryName: String
    /// Open until it is published or discarded.
    private let descriptor: Lock<Int32?>

    /// Makes a file under a temporary name.
    ///
    /// - Parameters:
    ///   - name: what it will be called; one component of a path.
    ///   - path: what messages call it.
    ///   - isPrivate: whether only its owner may read and write it.
    /// - Throws: ``ParleyError``: `permissionDenied`, `tooManyOpenFiles`, `system`.
    package init(
        in directory: Directory,
        as name: String,
        path: String,
        isPrivate: Bool = false
    ) throws(ParleyError) {
        assertMayBlock()
        self.path = path
        self.directory = directory
        self.name = name
        temporaryName = ".parley-\(String(UInt64.random(in: .min ... .max), radix: 36)).part"
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let mode: mode_t = isPrivate ? 0o600 : 0o666
        let descriptor = aboveStandard(openat(directory.descriptor, temporaryName, flags, mode))
        guard descriptor >= 0 else { throw .file("create", path) }
        self.descriptor = Lock(descriptor)
    }

    /// Makes a file in the directory that `path` names.
    ///
    /// - Throws: ``ParleyError``: as the other one, `fileNotFound` when there is no such directory, and
    ///   `invalidArgument` when the path ends without a name.
    package convenience init(_ path: String, isPrivate: Bool = false) throws(ParleyError) {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let name = slash.map { path[path.utf8.index(after: $0)...] } ?? path[...]
        guard !name.isEmpty else {
            throw ParleyError(.invalidArgument, "\"\(path)\" does not end with the name of a file")
        }
        let directory: Directory
        do {
            directory = try Directory(
                name.startIndex == path.startIndex ? "." : String(path[..<name.startIndex])
            )
        } catch {
            throw .file("create", path, -(error.systemCode ?? 0))
        }
        try self.init(in: directory, as: String(name), path: path, isPrivate: isPrivate)
    }

    deinit { if descriptor.withLock({ $0 != nil }) { discard() } }

    /// Appends bytes.
    package func write(_ bytes: ArraySlice<UInt8>) throws(ParleyError) {
        assertMayBlock()
        try descriptor.withLock { descriptor throws(ParleyError) in
            guard let descriptor else { throw ended }
            var rest = bytes
            while !rest.isEmpty {
                let written = rest.withUnsafeBytes { writeDescriptor(descriptor, $0) }
                if written < 0, errno == EINTR { continue }
                guard written > 0 else { throw .file("write", path) }
                rest.removeFirst(written)
            }
        }
    }

    /// Gives the complete file its name, unless something else has it by now: a file is not replaced. After a
    /// crash of the machine the name stands for the whole file or for nothing; with ``Naming/reservation``,
    /// or for an empty file.
    ///
    /// - Throws: ``ParleyError``: `fileExists`, or why the file is not safe on the disk. It then still has to
    ///   be discarded.
    package func publish() throws(ParleyError) { try publish(beginningWith: .link) }

    /// The same, starting with a later way. Tests act so as if the file system lacked the earlier ones.
    func publish(beginningWith first: Naming) throws(ParleyError) {
        try complete { () throws(ParleyError) in
            var naming = first
            while true {
                let failure = naming.give(name, to: temporaryName, in: directory)
                if failure == 0 { return }
                guard let next = naming.next(after: failure) else { throw .file("create", path, failure) }
                naming = next
            }
        }
    }

    /// Gives the complete file its name, in one step also in place of a file or a symbolic link that has it.
    /// Whoever opens the name gets all of the old file or all of the new one, also after a crash of the
    /// machine.
    ///
    /// - Throws: ``ParleyError``: why it cannot replace what has the name, such as a directory, or why the
    ///   file is not safe on the disk. It then still has to be discarded.
    package func publishReplacing() throws(ParleyError) {
        try complete { () throws(ParleyError) in
            let folder = directory.descriptor
            guard renameat(folder, temporaryName, folder, name) == 0 else { throw .file("replace", path) }
        }
    }

    /// Writes the file to the disk, lets `giveName` name it, and closes it.
    private func complete(_ giveName: () throws(ParleyError) -> Void) throws(ParleyError) {
        assertMayBlock()
        try descriptor.withLock { descriptor throws(ParleyError) in
            guard let open = descriptor else { throw ended }
            guard fsync(open) == 0 else { throw .file("complete", path) }
            try giveName()
            closeDescriptor(open)
            descriptor = nil
        }
    }

    /// Removes it, unless it is published. Idempotent.
    package func discard() {
        descriptor.withLock { descriptor in
            guard let open = descriptor else { return }
            unlinkat(directory.descriptor, temporaryName, 0)
            // Frees what it has on the disk.
            closeDescriptor(open)
            descriptor = nil
        }
    }

    private var ended: ParleyError { ParleyError(.invalidArgument, "\(path) is complete, or discarded") }
}

/// How a file gets its name without replacing what may have it: the ways in the order in which they are
/// tried.
enum Naming: CaseIterable {
    /// link(2), which nearly every file system has.
    case link
    /// A rename that fails when the name is taken: renameat2(2) on Linux.
    case exclusiveRename
    /// The name is taken by an empty file, which is then replaced. A crash in between leaves the empty file.
    case reservation

    /// What to try when this way has failed with that `errno`; nil when that is the answer.
    func next(after errno: Int32) -> Naming? {
        switch (self, errno) {
        // EPERM: no links on this file system. EMLINK: none for this file.
        case (.link, EPERM), (.link, EOPNOTSUPP), (.link, EMLINK), (.link, ENOSYS): .exclusiveRename
        // EINVAL: the file system knows no flags.
        case (.exclusiveRename, EINVAL), (.exclusiveRename, EOPNOTSUPP), (.exclusiveRename, ENOSYS):
            .reservation
        default: nil
        }
    }

    /// Returns 0, or why it has failed.
    fileprivate func give(_ name: String, to temporaryName: String, in directory: Directory) -> Int32 {
        let folder = directory.descriptor
        switch self {
        case .link:
            guard linkat(folder, temporaryName, folder, name, 0) == 0 else { return errno }
            unlinkat(folder, temporaryName, 0)
        case .exclusiveRename:
            guard renameExclusively(folder, temporaryName, name) == 0 else { return errno }
        case .reservation:
            let reserved = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
            guard reserved >= 0 else { return errno }
            closeDescriptor(reserved)
            guard renameat(folder, temporaryName, folder, name) == 0 else {
                let failure = errno
                unlinkat(folder, name, 0)
                return failure
            }
        }
        return 0
    }
}
