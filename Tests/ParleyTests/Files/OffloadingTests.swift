import Dispatch
import Testing

@testable import Parley

@Suite("Work that blocks, beside an event loop", .timeLimit(.minutes(5)))
struct OffloadingTests {
    @Test func `neither the loop's thread nor its tasks wait for it`() async throws {
        try await withLoop { loop in
            let released = DispatchSemaphore(value: 0)
            let isLoop = try await Task(executorPreference: loop) {
                #expect(loop.isCurrent)
                let work = loop.offload {
                    released.wait()
                    return EventLoop.isCurrentThreadALoop
                }
                // Would never come to it behind the work.
                loop.execute { released.signal() }
                let isLoop = try await work.value
                #expect(loop.isCurrent)
                return isLoop
            }.value
            #expect(!isLoop)
        }
    }

    @Test func `its errors are thrown to whoever waits for it`() async throws {
        try await withLoop { loop in
            let failing: Offloaded<Int> = loop.offload { () throws(ParleyError) in
                throw ParleyError(.fileExists, "there is one")
            }
            let thrown = try await error { _ = try await failing.value }
            #expect(thrown.code == .fileExists)
            let result = try await loop.offload { 7 }.value
            #expect(result == 7)
        }
    }

    @Test func `a cancelled task gets its result all the same`() async throws {
        try await withLoop { loop in
            let released = DispatchSemaphore(value: 0)
            let waiting = Task {
                try await loop.offload {
                    released.wait()
                    return 7
                }.value
            }
            waiting.cancel()
            released.signal()
            let result = try await waiting.value
            #expect(result == 7)
        }
    }

    @Test func `a loop that stops lives until it is done`() async throws {
        let loop = EventLoop()
        let events = Events<String>()
        let released = DispatchSemaphore(value: 0)
        let begun = Events<Void>()
        let work = loop.offload {
            begun.add(())
            released.wait()
            events.add("done")
        }
        try await begun.next()
        let stopping = Task {
            await loop.stop()
            events.add("stopped")
        }
        try await eventually { !loop.execute {} }
        released.signal()
        await stopping.value
        #expect(events.soFar == ["done", "stopped"])
        try await work.value
        #expect(loop.hasEndedCleanly == true)
    }

    @Test func `when the loop has stopped it is done elsewhere`() async throws {
        let loop = EventLoop()
        await loop.stop()
        #expect(try await loop.offload { 7 }.value == 7)
    }

    @Test func `many at once are all done`() async throws {
        try await withLoop { loop in
            let works = (0..<200).map { number in loop.offload { number } }
            for (number, work) in works.enumerated() {
                let result = try await work.value
                #expect(result == number)
            }
        }
    }
}
