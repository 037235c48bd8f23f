#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

// The few calls of POSIX that this tool needs, without EINTR and with errors that throw.

/// Writes all of `bytes`.
func writeAll(_ bytes: [UInt8], to descriptor: Int32) throws(SystemError) {
    var written = 0
    while written < bytes.count {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, $0.count - written) }
        if count >= 0 {
            written += count
        } else if errno != EINTR {
            throw .last
        }
    }
}

/// One read: at most `count` bytes, none at the end of the file.
func readSome(_ count: Int, from descriptor: Int32) throws(SystemError) -> [UInt8] {
    while true {
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            let result = read(descriptor, buffer.baseAddress, count)
            initializedCount = max(0, result)
            failure = result < 0 ? .last : nil
        }
        guard let failure else { return bytes }
        guard failure.code == EINTR else { throw failure }
    }
}

/// An open file, closed when nobody refers to it any more.
final class FileDescriptor: Sendable {
    let number: Int32

    /// Takes over what `open` or `openat` returned; that is negative when it failed.
    init(opened number: Int32) throws(SystemError) {
        guard number >= 0 else { throw .last }
        self.number = number
    }

    deinit { close(number) }

    /// fstat(2).
    func status() throws(SystemError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .last }
        return status
    }
}

extension stat {
    enum Kind { case regular, directory, symbolicLink, other }

    var kind: Kind {
        switch st_mode & S_IFMT {
        case S_IFREG: .regular
        case S_IFDIR: .directory
        case S_IFLNK: .symbolicLink
        default: .other
        }
    }
}

extension stat.Kind: CustomStringConvertible {
    var description: String {
        switch self {
        case .regular: "a file"
        case .directory: "a directory"
        case .symbolicLink: "a symbolic link"
        case .other: "a device, pipe or socket"
        }
    }
}
