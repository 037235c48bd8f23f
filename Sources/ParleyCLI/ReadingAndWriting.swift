#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

// read(2) and write(2) for the standard descriptors, without EINTR and with errors that throw. Whoever
// started the tool may have left O_NONBLOCK on them: then these wait.

/// Opens /dev/null on each of the descriptors 0 to 2 that is closed. Otherwise a file or socket of the tool's
/// own would get that number, and error lines would be written into it. Call this before anything is opened.
///
/// The input is opened for writing alone, and the outputs for reading, so that their use fails as with closed
/// ones. With the library's `occupyStandardDescriptors()` output would be lost in silence.
func reserveStandardDescriptors() {
    for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) == -1 && errno == EBADF {
        // The lowest number that is free, which is this one.
        if open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0 {
            // In a chroot(2) without devices. Nobody can read or write a folder.
            _ = open("/", O_RDONLY)
        }
    }
}

/// Writes all of `bytes`.
func writeAll(_ bytes: [UInt8], to descriptor: Int32) throws(SystemError) {
    var written = 0
    while written < bytes.count {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, $0.count - written) }
        if count >= 0 {
            written += count
        } else if errno == EAGAIN {
            wait(for: POLLOUT, of: descriptor)
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
        if failure.code == EAGAIN {
            wait(for: POLLIN, of: descriptor)
        } else if failure.code != EINTR {
            throw failure
        }
    }
}

private func wait(for events: Int32, of descriptor: Int32) {
    var one = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    _ = poll(&one, 1, -1)
}

/// Reads `limit` bytes of a file, from an offset on; fewer only at the file's end.
///
/// - Parameter head: what the returned bytes begin with, in front of those of the file.
func readAt(
    _ descriptor: Int32,
    _ offset: Int,
    upTo limit: Int,
    behind head: [UInt8] = []
) throws(SystemError) -> [UInt8] {
    var failure: SystemError?
    let bytes = [UInt8](unsafeUninitializedCapacity: head.count + limit) { buffer, filled in
        filled = buffer[..<head.count].initialize(fromContentsOf: head)
        while filled < buffer.count {
            let place = buffer.baseAddress.map { $0 + filled }
            let got = pread(descriptor, place, buffer.count - filled, off_t(offset + filled - head.count))
            if got < 0, errno == EINTR { continue }
            if got < 0 { failure = .last }
            guard got > 0 else { return }
            filled += got
        }
    }
    if let failure { throw failure }
    return bytes
}
