import Testing

@testable import Parley

/// Waking a thread that waits, and the deadline of a wait.
@Suite(.timeLimit(.minutes(10))) struct ThreadParkerTests {
    @Test func `a wake-up before the wait is not lost`() throws {
        let parker = ThreadParker()
        parker.wake()
        try #require(parker.wait(until: .now))
        #expect(!parker.wait(until: .now), "it has ended one wait")
    }

    @Test func `a wait ends at its deadline`() {
        let parker = ThreadParker()
        let began = MonotonicTime.now
        #expect(!parker.wait(until: began + .milliseconds(20)))
        #expect(began.duration(to: .now) >= .milliseconds(20))
    }

    @Test func `another thread wakes the one that waits`() async {
        let (parker, woken) = (ThreadParker(), ThreadParker())
        let result = Lock(false)
        let status = LibraryThread.start("parley test") {
            let isWoken = parker.wait(until: nil)
            result.withLock { $0 = isWoken }
            woken.wake()
        }
        #expect(status == 0)
        parker.wake()
        #expect(woken.wait(until: .now + .seconds(30)))
        #expect(result.withLock { $0 })
    }

    @Test func `a thread waits with the one it kept, anew`() {
        func waitOnce() -> ObjectIdentifier {
            let parker = ThreadParker.take()
            defer { ThreadParker.keep(parker) }
            #expect(!parker.wait(until: .now), "nobody has woken it since")
            parker.wake()
            #expect(parker.wait(until: nil))
            return ObjectIdentifier(parker)
        }
        let first = waitOnce()
        #expect(waitOnce() == first)
    }

    /// A deadline in the past: the semaphore may not look whether it was signalled.
    @Test func `a wake-up that only the deadline finds leaves nothing for the next wait`() {
        let parker = ThreadParker()
        let past = MonotonicTime.now
        for _ in 0..<100 {
            parker.wake()
            #expect(parker.wait(until: past))
            #expect(!parker.wait(until: .now + .milliseconds(1)))
        }
    }

    /// A place whose waiters are taken out just before their time is up, and are woken later.
    private struct Late: WaitPlace {
        struct State {
            var queue = WaitQueue()
            var woken = WaitQueue.Woken()
        }

        func change<Result>(_ state: inout State, _ body: (inout WaitQueue) -> Result) -> Result {
            if !state.queue.isEmpty { state.woken = state.queue.wakeAll() }
            return body(&state.queue)
        }
    }

    @Test func `a thread does not wait again with one that somebody has yet to wake`() {
        let lock = Lock(Late.State())
        let isWoken = lock.block(at: Late(), until: .now, unless: { _ in false })
        #expect(isWoken, "it was taken out in time")
        let next = ThreadParker.take()
        lock.withLock { $0.woken }.resume()
        #expect(!next.wait(until: .now))
    }

    @Test func `a thread that blocks is woken long before its deadline`() {
        let deadline = MonotonicTime.now + .seconds(50)
        let turns = (0..<100).map { _ in (there: ThreadParker(), back: ThreadParker()) }
        let status = LibraryThread.start("parley test") {
            for turn in turns where turn.there.wait(until: deadline) { turn.back.wake() }
        }
        #expect(status == 0)
        for turn in turns {
            turn.there.wake()
            guard turn.back.wait(until: deadline) else { break }
        }
        #expect(MonotonicTime.now < deadline)
    }

    @Test func `a thread keeps one`() {
        let (first, second) = (ThreadParker.take(), ThreadParker.take())
        ThreadParker.keep(first)
        ThreadParker.keep(second)
        #expect(ThreadParker.take() === first && ThreadParker.take() !== second)
    }
}
