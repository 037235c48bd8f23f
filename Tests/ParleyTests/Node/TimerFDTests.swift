import CLibUV
import Testing

@testable import Parley

/// ``TimerFD``, the timer of the connections' time-outs, with a timerfd and without.
@Suite(.timeLimit(.minutes(10))) struct TimerFDTests {
    @Test(arguments: [true, false])
    func `the timer fires once, at its last setting`(
        hasDescriptor: Bool
    ) async throws {
        try await withAlarm(hasDescriptor) { loop, alarm, events in
            let begin = ContinuousClock.now
            loop.execute {
                alarm().set(inMilliseconds: 3_600_000)
                alarm().set(inMilliseconds: 20)
            }
            try await events.next()
            #expect(begin.duration(to: .now) >= .milliseconds(19))
            // A delay of zero also fires once.
            loop.execute { alarm().set(inMilliseconds: 0) }
            try await events.next()
            loop.execute {
                alarm().set(inMilliseconds: 0)
                alarm().set(inMilliseconds: 3_600_000)
            }
            loop.execute { alarm().set(inMilliseconds: 10) }
            try await events.next()
            #expect(events.soFar.count == 3)
        }
    }

    #if os(Linux)
        @Test(arguments: [true, false])
        func `with a timerfd the loop polls without a time-out`(hasDescriptor: Bool) async throws {
            try await withAlarm(hasDescriptor) { loop, alarm, _ in
                let timeouts = Events<Int32>()
                loop.execute { alarm().set(inMilliseconds: 3_600_000) }
                // libuv reports its poll time-out only in a turn that has nothing new to watch.
                for _ in 0..<3 {
                    loop.execute { timeouts.add(uv_backend_timeout(loop.uv)) }
                    _ = try await timeouts.next()
                }
                loop.execute { timeouts.add(uv_backend_timeout(loop.uv)) }
                let timeout = try await timeouts.next()
                #expect(hasDescriptor ? timeout == -1 : timeout > 0, "\(timeout)")
            }
        }
    #endif

    /// Calls `body` with a loop, a timer of it, and the timer's events.
    private func withAlarm(
        _ hasDescriptor: Bool,
        _ body: (EventLoop, _ alarm: @escaping @Sendable () -> TimerFD, Events<Void>) async throws -> Void
    ) async throws {
        let loop = EventLoop()
        try loop.start()
        let events = Events<Void>()
        let kept = Lock<TimerFD?>(nil)
        loop.execute {
            let descriptor = hasDescriptor ? TimerFD.makeDescriptor() : nil
            let alarm = TimerFD(on: loop, descriptor: descriptor) { events.add(()) }
            kept.withLock { $0 = alarm }
        }
        try await body(loop, { kept.withLock { $0! } }, events)
        loop.execute { kept.withLock { $0?.close() } }
        await loop.stop()
        // The timer has left no handle on the loop.
        #expect(loop.hasEndedCleanly == true)
    }
}
