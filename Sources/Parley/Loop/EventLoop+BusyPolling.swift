import CLibUV
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

// Busy polling: the loop polls without blocking for a while. Waking a sleeping thread takes tens of
// microseconds, handling a message a few.

extension EventLoop {
    /// Whether the next poll must not block, because there was an event a short while ago. Called at the end
    /// of each turn.
    ///
    /// Events come from sockets and other threads. A timer is no event: it does not predict more traffic.
    func pollsAgain() -> Bool {
        let now = uv_hrtime()
        if turn.pointee.hasHadEvent {
            turn.pointee.hasHadEvent = false
            lastEvent = now
            startPollingQueue()
            return true
        }
        guard now &- lastEvent < busyPollNanoseconds || !stopPollingQueue() else { return false }
        countedEmptyPolls.store(emptyPolls &+ 1, ordering: .relaxed)
        // When both ends share a core, this lets the other end run.
        sched_yield()
        return true
    }

    /// Tells submitters that the loop checks the queue in each turn and need not be woken.
    private func startPollingQueue() {
        guard !pollsQueue else { return }
        pollsQueue = true
        submissionQueue.withLock { $0.isPolled = true }
    }

    /// Tells submitters to wake the loop from now on; returns false, and changes nothing, when something is
    /// already submitted.
    private func stopPollingQueue() -> Bool {
        guard pollsQueue else { return true }
        pollsQueue = submissionQueue.withLock { queue in
            queue.isPolled = !queue.submissions.isEmpty
            return queue.isPolled
        }
        return !pollsQueue
    }

    /// Notes an event of this turn, which keeps the loop polling. The loop's thread only.
    func noteEvent() { turn.pointee.hasHadEvent = true }

    /// Whether the loop polls without blocking now, for tests.
    var isBusyPolling: Bool { submissionQueue.withLock { $0.isPolled } }

    /// How many polls found nothing and were followed by another, for tests.
    var emptyPolls: Int { countedEmptyPolls.load(ordering: .relaxed) }

    /// How many wakes other threads have sent, for tests.
    var wakes: Int { submissionQueue.withLock { $0.wakes } }
}
