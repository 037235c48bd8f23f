import Testing

@testable import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A descriptor that is readable while there is a reason.
@Suite struct PollableSignalTests {
    private func isReadable(_ descriptor: Int32) -> Bool {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&wanted, 1, 0) == 1
    }

    @Test func `it is readable from the first reason to the last`() throws {
        let signal = try PollableSignal()
        #expect(!isReadable(signal.descriptor))
        for (change, expected) in [(1, true), (1, true), (-1, true), (-1, false), (3, true), (-3, false)] {
            signal.change(by: change)
            #expect(isReadable(signal.descriptor) == expected)
        }
        for _ in 0..<70_000 {
            signal.change(by: 1)
            signal.change(by: -1)
        }
        #expect(!isReadable(signal.descriptor), "a pipe that nobody empties would be full by now")
        signal.change(by: 1)
        #expect(isReadable(signal.descriptor))
    }

    @Test func `no child inherits it, and nobody blocks on it`() throws {
        let signal = try PollableSignal()
        #expect(fcntl(signal.descriptor, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(signal.descriptor, F_GETFL) & O_NONBLOCK != 0)
    }
}
