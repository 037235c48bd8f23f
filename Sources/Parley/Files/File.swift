import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An open file. Its calls block; whoever makes them chooses a thread where that does no harm.
final class File: Sendable {
    let path: String
    private let descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Opens a regular file for reading.
    static func reading(_ path: String) throws(ParleyError) -> File {
        // Without O_NONBLOCK opening a fifo would wait for a writer. To a regular file it means nothing.
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .file("open", path) }
        let file = File(path: path, descriptor: descriptor)
        guard try file.status().st_mode & S_IFMT == S_IFREG else {
            throw ParleyError(.invalidArgument, "\(path) is not a regular file")
        }
        return file
    }

    /// Makes a new file for writing.
    static func creating(_ path: String) throws(ParleyError) -> File {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw .file("create", path) }
        return File(path: path, descriptor: descriptor)
    }

    /// How long it is now.
    func size() throws(ParleyError) -> Int { Int(try status().st_size) }

    private func status() throws(ParleyError) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .file("examine", path) }
        return status
    }

    /// Reads exactly `count` bytes.
    func read(at offset: Int, count: Int) throws(ParleyError) -> [UInt8] {
        var failure: ParleyError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(
                    descriptor,
                    buffer.baseAddress.map { $0 + filled },
                    count - filled,
                    off_t(offset + filled)
                )
                if got < 0, errno == EINTR { continue }
                guard got > 0 else {
                    failure = got < 0 ? .file("read", path) : shrunk
                    return
                }
                filled += got
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Appends bytes where the last ones ended.
    func write(_ bytes: ArraySlice<UInt8>) throws(ParleyError) {
        var rest = bytes
        while !rest.isEmpty {
            #if canImport(Glibc)
                let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            #elseif canImport(Musl)
                let written = rest.withUnsafeBytes { Musl.write(descriptor, $0.baseAddress, $0.count) }
            #else
                let written = rest.withUnsafeBytes { Darwin.write(descriptor, $0.baseAddress, $0.count) }
            #endif
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw .file("write", path) }
            rest.removeFirst(written)
        }
    }

    /// Gives a complete file its name. Never replaces anything: a link to an existing name fails, where a rename
    /// would not. On file systems without links it looks first, and then renames.
    func publish(as name: String) throws(ParleyError) {
        guard fsync(descriptor) == 0 else { throw .file("complete", path) }
        if link(path, name) == 0 {
            unlink(path)
            return
        }
        guard errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK else { throw .file("create", name) }
        var status = stat()
        guard lstat(name, &status) != 0 else {
            throw ParleyError(.fileExists, "cannot create \(name): it exists")
        }
        guard rename(path, name) == 0 else { throw .file("create", name) }
    }

    /// Takes its name away; for one that was not completed.
    func discard() { unlink(path) }

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
            default:
                throw ParleyError(libuv: uv_translate_sys_error(errno), "the connection failed while writing")
            }
        #else
            return nil
        #endif
    }

    private var shrunk: ParleyError {
        ParleyError(.truncated, "\(path) became shorter while it was sent")
    }
}

/// A part of an open file.
struct FileRange {
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
}

extension ParleyError {
    /// A system call on a file has just failed.
    fileprivate static func file(_ verb: String, _ path: String) -> ParleyError {
        ParleyError(libuv: uv_translate_sys_error(errno), "cannot \(verb) \(path)")
    }
}
