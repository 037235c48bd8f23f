import Testing

@testable import Parley

/// Waking a thread that waits, and the deadline of a wait.
@Suite(.timeLimit(.minutes(1))) struct ThreadParkerTests {
    @Test func `a wake-up before the wait is not lost`() throws {
        let parker = ThreadParker()
        parker.wake()
        try #require(parker.wait(until: .now))
        #expect(parker.wait(until: nil), "it stays woken")
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
            var parker: ThreadParker? = ThreadParker.take()
            defer { ThreadParker.keep(&parker) }
            #expect(parker?.wait(until: .now) == false, "nobody has woken it since")
            parker?.wake()
            #expect(parker?.wait(until: nil) == true)
            return parker.map(ObjectIdentifier.init)!
        }
        let first = waitOnce()
        #expect(waitOnce() == first)
    }

    @Test func `what somebody else still has is not kept`() {
        var first: ThreadParker? = ThreadParker.take()
        let waking = first
        ThreadParker.keep(&first)
        let second = ThreadParker.take()
        #expect(second !== waking)
    }
}
