#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A descriptor that other event loops can watch: readable from ``raise()`` to ``lower()``.
///
/// A pipe with one byte in it, rather than an eventfd(2), which is Linux's alone. Both calls never block.
final class PollableSignal: Sendable {
    /// What to poll for reading. It belongs to this object: neither read nor close it.
    let descriptor: Int32
    private let writing: Int32

    init() throws(ParleyError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw ParleyError(libuv: -errno, "cannot make a pollable descriptor")
        }
        (descriptor, writing) = (ends[0], ends[1])
        for end in ends {
            _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        close(descriptor)
        close(writing)
    }

    func raise() {
        var byte: UInt8 = 1
        _ = write(writing, &byte, 1)
    }

    func lower() {
        var byte: UInt8 = 0
        _ = read(descriptor, &byte, 1)
    }
}
