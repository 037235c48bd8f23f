import CFiles
import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A folder by its descriptor: what happens to its path does not matter any more.
final class OpenFolder: Sendable {
    let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Opens a folder that somebody names; links on the way are followed. It needs permission to create files
    /// in it, and where the system can do with that, no other.
    convenience init(_ path: LocalPath) throws(SystemError) {
        var descriptor = path.withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        #if os(Linux)
            if descriptor < 0, errno == EACCES {
                descriptor = path.withCString { open($0, cfiles_O_PATH | O_DIRECTORY | O_CLOEXEC) }
            }
        #endif
        guard descriptor >= 0 else { throw .last }
        self.init(descriptor)
    }

    /// A folder in this one, which no link leads to.
    func inner(_ names: some Collection<ArraySlice<UInt8>>) throws(SystemError) -> OpenFolder {
        var folder = self
        for name in names {
            let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
            let descriptor = name.withCString { openat(folder.descriptor, $0, flags) }
            guard descriptor >= 0 else { throw .last }
            folder = OpenFolder(descriptor)
        }
        return folder
    }

    /// Whether it was removed while it is open.
    var isRemoved: Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_nlink == 0
    }

    /// The names in it, in the order of their bytes.
    func namesInside() throws(SystemError) -> [[UInt8]] {
        // One of its own: the place in a folder belongs to the descriptor.
        try Self.namesInside(openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
    }

    /// The names in the folder of a descriptor, which is closed. A negative one stands for the `errno`.
    static func namesInside(_ descriptor: Int32) throws(SystemError) -> [[UInt8]] {
        var names: [[UInt8]] = []
        try forEachName(descriptor) { names.append($0) }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// Passes on the names in the folder of a descriptor, which is closed.
    private static func forEachName(_ descriptor: Int32, _ body: ([UInt8]) -> Void) throws(SystemError) {
        guard descriptor >= 0 else { throw .last }
        guard let folder = fdopendir(descriptor) else {
            let failure = SystemError.last
            close(descriptor)
            throw failure
        }
        defer { closedir(folder) }
        while true {
            errno = 0
            guard let entry = readdir(folder) else { break }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if !name.isDots { body(name) }
        }
        guard errno == 0 else { throw .last }
    }

    /// What has that name. A link is not followed.
    func status(of name: some Collection<UInt8>) throws(SystemError) -> stat {
        var status = stat()
        let result = name.withCString { fstatat(descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) }
        guard result == 0 else { throw .last }
        return status
    }

    /// What has that name; nil for nothing. A link is not followed.
    func kind(of name: some Collection<UInt8>) -> FileKind? {
        (try? status(of: name)).map { FileKind(of: $0) }
    }

    /// Where the link of that name leads; nil when there is none.
    func linkTarget(_ name: some Collection<UInt8>) -> [UInt8]? {
        var target = [UInt8](repeating: 0, count: LinkTarget.maxBytes + 1)
        let count = name.withCString { name in
            target.withUnsafeMutableBytes { readlinkat(descriptor, name, $0.baseAddress!, $0.count) }
        }
        return count >= 0 ? Array(target.prefix(count)) : nil
    }

    /// When what has that name was last written to; nil for nothing.
    func modified(_ name: some Collection<UInt8>) -> Timestamp? {
        (try? status(of: name)).map { Timestamp($0) }
    }

    /// Opens a file of a size in that range; nil when there is none. A link is not followed.
    func openFile(_ name: some Collection<UInt8>, _ mode: Int32, byteCount: ClosedRange<Int>)
        -> Int32?
    {
        let flags = mode | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
        let file = name.withCString { openat(descriptor, $0, flags) }
        guard file >= 0 else { return nil }
        var status = stat()
        // A file with a second name may be somebody's: it is not written to.
        let isGood =
            fstat(file, &status) == 0 && FileKind(of: status) == .regular
            && byteCount.contains(Int(status.st_size)) && (mode == O_RDONLY || status.st_nlink == 1)
        if isGood { return file }
        close(file)
        return nil
    }

    /// Removes parts of files that nobody has gone on with for a week. Without `--resume` too: a transfer
    /// that was killed has left its part, and nobody else removes it.
    ///
    /// - Returns: the names of the parts that are left.
    func removeOldParts() -> [[UInt8]] {
        let weekAgo = Int64(time(nil)) - 7 * 86_400
        var left: [[UInt8]] = []
        try? Self.forEachName(openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) { name in
            guard Resumption.isPart(name) else { return }
            if !removePart(name, ifModifiedBefore: weekAgo) { left.append(name) }
        }
        return left
    }

    /// Removes a part, unless a transfer has it.
    ///
    /// - Parameters:
    ///   - seconds: it stays when it was written to later than that.
    ///   - isKnown: whether its name alone tells whose it is. Otherwise it has to be private, which some file
    ///     systems do not know.
    /// - Returns: whether it is gone.
    @discardableResult
    func removePart(
        _ name: [UInt8],
        ifModifiedBefore seconds: Int64 = .max,
        whateverItsMode isKnown: Bool = false
    ) -> Bool {
        func isOld() -> Bool { modified(name).map { $0.seconds < seconds } ?? false }
        func open(_ mode: Int32) -> Int32? { openFile(name, mode, byteCount: 0...Int.max) }
        // Before the lock too, which a transfer that begins may need.
        guard isOld(), let part = open(O_RDWR) ?? open(O_RDONLY) else { return false }
        defer { close(part) }
        // A transfer has the lock as long as it writes. Where a file system has no locks, the time decides.
        let isInUse = flock(part, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
        guard !isInUse, isOld(), isKnown || Self.isOwnPart(part), isName(name, of: part) else { return false }
        remove(name)
        return true
    }

    /// Whether an open file belongs to the user of this process, and to nobody else: parts do, until they are
    /// kept.
    private static func isOwnPart(_ file: Int32) -> Bool {
        var status = stat()
        guard fstat(file, &status) == 0 else { return false }
        return status.st_uid == geteuid() && status.st_mode & 0o7777 == PartFile.mode
    }

    /// Whether a name is still that of an open file: another process may have renamed or removed it.
    func isName(_ name: some Collection<UInt8>, of file: Int32) -> Bool {
        var opened = stat()
        guard fstat(file, &opened) == 0, let named = try? status(of: name) else { return false }
        return named.st_dev == opened.st_dev && named.st_ino == opened.st_ino
    }

    func remove(_ name: some Collection<UInt8>) { _ = name.withCString { unlinkat(descriptor, $0, 0) } }

    /// How a name is given that nothing may have. Not every file system knows all of them.
    enum Naming: CaseIterable {
        /// In one step.
        case renaming
        /// A second name, and then the first one goes.
        case linking
        /// An empty file that takes the name, and is replaced.
        case reserving
    }

    /// Gives another name to a file or a link in this folder.
    ///
    /// - Parameters:
    ///   - replacing: whether a file or a link may have the name. Otherwise it is an error that something has
    ///     it (`EEXIST`), also when it has appeared just now.
    ///   - first: the way that is tried first when it is new.
    func rename(
        _ name: some Collection<UInt8>,
        to newName: some Collection<UInt8>,
        replacing: Bool,
        beginningWith first: Naming = .renaming
    ) throws(SystemError) {
        guard !replacing else { return try renameOver(name, to: newName) }
        for way in Naming.allCases.drop(while: { $0 != first }) {
            do throws(SystemError) { return try giveNew(newName, to: name, by: way) } catch {
                guard way.isUnknown(error) else { throw error }
            }
        }
    }

    private func giveNew(
        _ newName: some Collection<UInt8>,
        to name: some Collection<UInt8>,
        by way: Naming
    ) throws(SystemError) {
        switch way {
        case .renaming:
            let renamed = name.withCString { name in
                newName.withCString { cfiles_rename_new(descriptor, name, $0) }
            }
            guard renamed == 0 else { throw .last }
        case .linking:
            let linked = name.withCString { name in
                newName.withCString { linkat(descriptor, name, descriptor, $0, 0) }
            }
            guard linked == 0 else { throw .last }
            remove(name)
        case .reserving:
            try reserve(newName)
            do throws(SystemError) { try renameOver(name, to: newName) } catch {
                remove(newName)
                throw error
            }
        }
    }

    private func renameOver(_ name: some Collection<UInt8>, to newName: some Collection<UInt8>)
        throws(SystemError)
    {
        let renamed = name.withCString { name in
            newName.withCString { renameat(descriptor, name, descriptor, $0) }
        }
        guard renamed == 0 else { throw .last }
    }

    /// Takes a name with an empty file, unless something has it.
    private func reserve(_ name: some Collection<UInt8>) throws(SystemError) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let reserved = name.withCString { openat(descriptor, $0, flags, 0o600) }
        guard reserved >= 0 else { throw .last }
        close(reserved)
    }

    /// Writes everything on the folder's file system to the disk.
    func sync() -> Bool {
        #if os(Linux)
            if syncfs(descriptor) == 0 { return true }
            // A folder that may not be listed was opened without reading.
            guard errno == EBADF else { return false }
            syncEverything()
            return true
        #else
            fsync(descriptor) == 0
        #endif
    }
}

/// sync(2), under a name that a type's own `sync` method does not hide.
private func syncEverything() { sync() }

extension OpenFolder.Naming {
    /// Whether the file system says that it does not know this way.
    fileprivate func isUnknown(_ error: SystemError) -> Bool {
        switch self {
        case .renaming: [EINVAL, ENOSYS, ENOTSUP].contains(error.code)
        case .linking: [EPERM, EOPNOTSUPP, EMLINK, ENOSYS].contains(error.code)
        case .reserving: false
        }
    }
}
