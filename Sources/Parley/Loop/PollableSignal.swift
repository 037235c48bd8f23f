import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A descriptor that other event loops can poll. It is readable while its count of reasons is above zero.
///
/// It is a pipe that holds one byte while readable; eventfd(2) exists only on Linux. Nothing here blocks, and
/// a program that another thread starts inherits neither end.
final class PollableSignal: Sendable {
    /// The descriptor to poll for reading. It belongs to this object: do not read it and do not close it.
    let descriptor: Int32
    private let writing: Int32
    private let reasons = Lock(0)

    init() throws(ParleyError) {
        var ends: [uv_file] = [-1, -1]
        let flags = CInt(UV_NONBLOCK_PIPE.rawValue)
        let status = uv_pipe(&ends, flags, flags)
        guard status == 0 else {
            throw ParleyError(libuv: status, "cannot make a pollable descriptor")
        }
        ends = ends.map(aboveStandard)
        guard ends.allSatisfy({ $0 >= 0 }) else {
            let code = errno
            for end in ends where end >= 0 { close(end) }
            throw ParleyError(errno: code, "cannot make a pollable descriptor")
        }
        (descriptor, writing) = (ends[0], ends[1])
    }

    deinit {
        close(descriptor)
        close(writing)
    }

    /// Changes the count of reasons, by 1 or -1. Any thread.
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
