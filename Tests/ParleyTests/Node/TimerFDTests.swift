import CLibUV
import Testing

@testable import Parley

/// The timer behind the time-outs of a loop's connections, with a descriptor of its own and without.
@Suite(.timeLimit(.minutes(2))) struct TimerFDTests {
    @Test(arguments: [true, false])
    func `it goes off once each time it is set, when that was last, and not before`(
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
            // At once is once too.
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
        func `with a descriptor the loop's waits are not timed ones`(hasDescriptor: Bool) async throws {
            try await withAlarm(hasDescriptor) { loop, alarm, _ in
                let timeouts = Events<Int32>()
                loop.execute { alarm().set(inMilliseconds: 3_600_000) }
                // libuv tells it of a turn that has begun with nothing new to watch.
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

    /// Calls `body` with a loop, an alarm for its thread, and what happens when it goes off.
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
        // Nothing of it is left on the loop.
        #expect(loop.hasEndedCleanly == true)
    }
}
