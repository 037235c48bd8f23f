#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A descriptor that other event loops can watch: readable while there is a reason for it.
///
/// A pipe with one byte in it, rather than an eventfd(2), which is Linux's alone. Nothing in here blocks.
final class PollableSignal: Sendable {
    /// What to poll for reading. It belongs to this object: neither read nor close it.
    let descriptor: Int32
    private let writing: Int32
    private let reasons = Lock(0)

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

    /// One reason more, or one less. Any thread.
    func change(by change: Int) {
        reasons.withLock { reasons in
            let wasReadable = reasons > 0
            reasons &+= change
            var byte: UInt8 = 1
            if reasons > 0, !wasReadable { _ = write(writing, &byte, 1) }
            if reasons == 0, wasReadable { _ = read(descriptor, &byte, 1) }
        }
    }
}
