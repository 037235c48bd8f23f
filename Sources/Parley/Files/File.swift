#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A regular file that is open for reading. Its calls block on the disk, so they belong on threads where that
/// does no harm.
package final class File: Sendable {
    /// How it was named when it was opened.
    package let path: String
    private let descriptor: Int32

    /// Opens a file.
    ///
    /// - Parameter purpose: what messages say that it cannot be done with anything but a file.
    /// - Throws: ``ParleyError``: `fileNotFound`, `permissionDenied`, `tooManyOpenFiles`; `invalidArgument`
    ///   when it is not a regular file.
    package init(reading path: String, to purpose: String = "send") throws(ParleyError) {
        assertMayBlock()
        // Without O_NONBLOCK opening a fifo would wait for a writer. To a regular file it means nothing.
        let descriptor = aboveStandard(open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC))
        guard descriptor >= 0 else { throw .file("open", path) }
        self.path = path
        self.descriptor = descriptor
        let kind = FileKind(try status())
        guard kind == .regular else {
            throw ParleyError(.invalidArgument, "cannot \(purpose) \(path): it is \(kind)")
        }
    }

    deinit { closeDescriptor(descriptor) }

    /// Size and modification time. Equal values mean that the file has not changed.
    package struct Version: Equatable, Sendable {
        /// In bytes. Pseudo-files name any; see ``File/isMeasured()``.
        package let size: Int
        private let seconds: Int
        private let nanoseconds: Int

        fileprivate init(_ status: stat) {
            #if canImport(Darwin)
                let modified = status.st_mtimespec
            #else
                let modified = status.st_mtim
            #endif
            size = Int(status.st_size)
            (seconds, nanoseconds) = (Int(modified.tv_sec), Int(modified.tv_nsec))
        }
    }

    /// The current version.
    package func version() throws(ParleyError) -> Version { Version(try status()) }

    /// Whether the file has the size that it names. Pseudo-files (/proc, /sys) name none, or a whole page.
    package func isMeasured() throws(ParleyError) -> Bool {
        let status = try status()
        // Only files with content have blocks.
        guard status.st_blocks == 0 else { return true }
        let size = Int(status.st_size)
        guard try hasByte(before: size) else { return false }
        return try read(at: size, upTo: 1).isEmpty
    }

    /// Whether there is a byte directly before an offset; true for the beginning.
    package func hasByte(before offset: Int) throws(ParleyError) -> Bool {
        guard offset > 0 else { return true }
        return try !read(at: offset - 1, upTo: 1).isEmpty
    }

    /// Whether nobody but its owner may read or write it.
    package func isPrivate() throws(ParleyError) -> Bool { try status().st_mode & 0o077 == 0 }

    private func status() throws(ParleyError) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .file("examine", path) }
        return status
    }

    /// Reads exactly `count` bytes.
    ///
    /// - Throws: ``ParleyError``: `truncated` when the file is shorter than that now.
    package func read(at offset: Int, count: Int) throws(ParleyError) -> [UInt8] {
        let bytes = try read(at: offset, upTo: count)
        guard bytes.count == count else { throw shrunk }
        return bytes
    }

    /// Reads `limit` bytes; fewer only at the file's end.
    package func read(at offset: Int, upTo limit: Int) throws(ParleyError) -> [UInt8] {
        var failure: ParleyError?
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
            while filled < limit {
                let got = pread(
                    descriptor,
                    buffer.baseAddress.map { $0 + filled },
                    limit - filled,
                    off_t(offset + filled)
                )
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = .file("read", path) }
                guard got > 0 else { return }
                filled += got
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Lets the kernel send a part of it to a socket that does not block.
    ///
    /// - Returns: how much it sent; nil when it cannot now, or not at all.
    func send(to socket: Int32, _ range: FileRange) throws(ParleyError) -> Int? {
        #if os(Linux)
            var offset = off_t(range.offset)
            let sent = sendfile(socket, descriptor, &offset, range.count)
            if sent > 0 { return sent }
            if sent == 0 { throw shrunk }
            switch errno {
            case EAGAIN, EINTR, EINVAL, ENOSYS: return nil
            case EIO: throw ParleyError(errno: EIO, "cannot read \(path)")
            default:
                throw ParleyError(errno: errno, "the connection failed while writing")
            }
        #else
            return nil
        #endif
    }

    var shrunk: ParleyError {
        ParleyError(.truncated, "\(path) became shorter while it was sent")
    }
}

/// A part of an open file.
struct FileRange: Sendable {
    let file: File
    private(set) var offset: Int
    private(set) var count: Int

    init(_ file: File, offset: Int, count: Int) {
        self.file = file
        self.offset = offset
        self.count = count
    }

    mutating func removeFirst(_ bytes: Int) {
        offset += bytes
        count -= bytes
    }

    /// Its bytes, for wire forms that have to see them. Blocks. Not for a loop's thread: a link calls
    /// ``File/read(at:count:)`` itself.
    func read() throws(ParleyError) -> [UInt8] {
        assertMayBlock()
        return try file.read(at: offset, count: count)
    }
}

/// What a name in a file system stands for.
package enum FileKind: Sendable {
    case regular, directory, symbolicLink, other

    init(_ status: stat) { self.init(mode: UInt32(status.st_mode)) }

    /// - Parameter mode: `st_mode` of a status.
    package init(mode: UInt32) {
        self =
            switch mode_t(truncatingIfNeeded: mode) & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFLNK: .symbolicLink
            default: .other
            }
    }
}

extension FileKind: CustomStringConvertible {
    package var description: String {
        switch self {
        case .regular: "a file"
        case .directory: "a directory"
        case .symbolicLink: "a symbolic link"
        case .other: "a device, pipe or socket"
        }
    }
}

/// Traps on the thread of an event loop, which a disk must not hold up.
func assertMayBlock() { assert(!EventLoop.isCurrentThreadALoop, "file work on an event loop's thread") }

extension ParleyError {
    /// A system call on a file has just failed.
    static func file(_ verb: String, _ path: String) -> ParleyError { file(verb, path, errno) }

    /// A system call on a file has failed with this `errno`.
    static func file(_ verb: String, _ path: String, _ errno: Int32) -> ParleyError {
        ParleyError(errno: errno, "cannot \(verb) \(path)")
    }
}
