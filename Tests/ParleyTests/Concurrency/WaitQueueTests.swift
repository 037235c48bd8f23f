import Testing

@testable import Parley

/// Waiters of locked state: who is woken, in which order, and how often.
@Suite(.timeLimit(.minutes(10))) struct WaitQueueTests {
    private struct State {
        var queue = WaitQueue()
        var isReady = false
    }

    /// Functions that wait; each adds its number to the result when it is woken.
    private func waiting(_ count: Int, in state: Lock<State>) -> Lock<[Int]> {
        let woken = Lock<[Int]>([])
        for number in 0..<count {
            let waits = state.notify(at: KeyPathPlace(path: \State.queue), unless: { $0.isReady }) {
                woken.withLock { $0.append(number) }
            }
            #expect(waits)
        }
        return woken
    }

    @Test(
        arguments: [
            (waiters: 3, wake: 0, woken: []), (3, 1, [0]), (3, 2, [0, 1]), (3, 3, [0, 1, 2]),
            (3, 9, [0, 1, 2]),
            (1, 1, [0]), (1, 0, []), (0, 5, []), (20, 19, Array(0..<19)),
        ] as [(Int, Int, [Int])]
    )
    func `the oldest are woken first, at most as many as said`(waiters: Int, wake: Int, expected: [Int]) {
        let state = Lock(State())
        let woken = waiting(waiters, in: state)
        let taken = state.withLock { $0.queue.wake(atMost: wake) }
        #expect(taken.count == expected.count)
        #expect(woken.withLock { $0 }.isEmpty, "they are resumed after the lock is released")
        taken.resume()
        #expect(woken.withLock { $0 } == expected)
        #expect(state.withLock { $0.queue.count } == waiters - expected.count)
        state.withLock { $0.queue.wakeAll() }.resume()
        #expect(woken.withLock { $0 } == Array(0..<waiters), "each once")
        #expect(state.withLock { $0.queue.isEmpty })
    }

    @Test func `each wake-up of all is counted, and no other`() {
        var queue = WaitQueue()
        #expect(queue.epoch == 0)
        _ = queue.wakeAll()
        _ = queue.wake(atMost: 3)
        queue.countWakeUp()
        #expect(queue.epoch == 2)
    }

    @Test func `who finds it ready does not wait`() async {
        let state = Lock(State())
        state.withLock { $0.isReady = true }
        let isCalled = Lock(false)
        let waits = state.notify(at: KeyPathPlace(path: \State.queue), unless: { $0.isReady }) {
            isCalled.withLock { $0 = true }
        }
        #expect(!waits && isCalled.withLock { !$0 })
        #expect(state.block(in: \.queue, until: .now, unless: { $0.isReady }))
        #expect(await state.wait(in: \.queue, unless: { $0.isReady }))
        #expect(state.withLock { $0.queue.isEmpty })
    }

    @Test func `a cancelled task leaves the queue, and the others stay`() async throws {
        let state = Lock(State())
        let tasks = (0..<3).map { _ in Task { await state.wait(in: \.queue, unless: { $0.isReady }) } }
        try await eventually { state.withLock { $0.queue.count } == 3 }
        tasks[1].cancel()
        #expect(await tasks[1].value == false)
        #expect(state.withLock { $0.queue.count } == 2)
        state.withLock { $0.queue.wakeAll() }.resume()
        #expect(await tasks[0].value)
        #expect(await tasks[2].value)
        // A task that was cancelled before it waits does not wait at all.
        let late = Task {
            while !Task.isCancelled { await Task.yield() }
            return await state.wait(in: \.queue, unless: { $0.isReady })
        }
        late.cancel()
        #expect(await late.value == false)
        #expect(state.withLock { $0.queue.isEmpty })
    }

    @Test func `a thread whose deadline passes leaves the queue`() async {
        let state = Lock(State())
        let isWoken = await offPool {
            state.block(in: \.queue, until: .now + .milliseconds(1), unless: { $0.isReady })
        }
        #expect(!isWoken && state.withLock { $0.queue.isEmpty })
    }
}
