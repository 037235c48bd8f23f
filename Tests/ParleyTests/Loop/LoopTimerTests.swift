import Testing

@testable import Parley

/// Timers that are used for a short time, one after the other.
@Suite(.timeLimit(.minutes(10))) struct LoopTimerTests {
    @Test func `a timer that was given back is the next one, and forgets its action`() async throws {
        try await withLoop { loop in
            try loop.start()
            let fired = Events<String>()
            loop.execute {
                let first = loop.takeTimer()
                let second = loop.takeTimer()
                first.start(after: .zero) { fired.add("the old action") }
                loop.giveBack(first)
                loop.giveBack(second)
                let next = loop.takeTimer()
                #expect(next === first)
                next.start(after: .milliseconds(1)) {
                    fired.add("the new action")
                    loop.giveBack(next)
                }
            }
            #expect(try await fired.next() == "the new action")
        }
    }
}
