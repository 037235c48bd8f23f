import CLibUV
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

// Polling without blocking for a while: a thread that sleeps takes tens of microseconds to wake, where a message takes a few.

extension EventLoop {
    /// Whether the next poll is not to block, because something has happened a short while ago. At the end of each turn.
    ///
    /// Events are what sockets and other threads bring; a timer is no sign that more will come.
    func pollsAgain() -> Bool {
        let now = uv_hrtime()
        if turn.pointee.hasHadEvent {
            turn.pointee.hasHadEvent = false
            lastEvent = now
            watchQueue()
            return true
        }
        guard now &- lastEvent < busyPollNanoseconds || !unwatchQueue() else { return false }
        countedEmptyPolls.store(emptyPolls &+ 1, ordering: .relaxed)
        // Without this, the other end would not get a core that both share.
        sched_yield()
        return true
    }

    private func watchQueue() {
        guard !watchesQueue else { return }
        watchesQueue = true
        submissionQueue.withLock { $0.isWatched = true }
    }

    /// From here on the loop has to be woken; false when something was submitted before that.
    private func unwatchQueue() -> Bool {
        guard watchesQueue else { return true }
        watchesQueue = submissionQueue.withLock { queue in
            queue.isWatched = !queue.submissions.isEmpty
            return queue.isWatched
        }
        return !watchesQueue
    }

    /// Something that sockets bring, other than bytes. The loop's thread only.
    func noteEvent() { turn.pointee.hasHadEvent = true }

    /// Whether the loop polls without blocking now; for tests.
    var isBusyPolling: Bool { submissionQueue.withLock { $0.isWatched } }

    /// How many polls have found nothing so far and were followed by another; for tests.
    var emptyPolls: Int { countedEmptyPolls.load(ordering: .relaxed) }

    /// How often another thread had to wake it; for tests.
    var wakes: Int { submissionQueue.withLock { $0.wakes } }
}
