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
            watchDoor()
            return true
        }
        guard now &- lastEvent < busyPollNanoseconds || !leaveDoor() else { return false }
        countedEmptyPolls.store(emptyPolls &+ 1, ordering: .relaxed)
        // Without this, the other end would not get a core that both share.
        sched_yield()
        return true
    }

    private func watchDoor() {
        guard !watchesDoor else { return }
        watchesDoor = true
        door.withLock { $0.isWatched = true }
    }

    /// From here on the loop has to be woken; false when something was submitted before that.
    private func leaveDoor() -> Bool {
        guard watchesDoor else { return true }
        watchesDoor = door.withLock { door in
            door.isWatched = !door.submissions.isEmpty
            return door.isWatched
        }
        return !watchesDoor
    }

    /// Something that sockets bring, other than bytes. The loop's thread only.
    func noteEvent() { turn.pointee.hasHadEvent = true }

    /// Whether the loop polls without blocking now; for tests.
    var isBusyPolling: Bool { door.withLock { $0.isWatched } }

    /// How many polls have found nothing so far and were followed by another; for tests.
    var emptyPolls: Int { countedEmptyPolls.load(ordering: .relaxed) }

    /// How often another thread had to wake it; for tests.
    var wakes: Int { door.withLock { $0.wakes } }
}

extension Duration {
    /// Negative is zero; what is for ever is some centuries.
    var inNanoseconds: UInt64 {
        guard self > .zero else { return 0 }
        let seconds = min(UInt64(components.seconds), 1 << 33)
        return seconds * 1_000_000_000 + UInt64(components.attoseconds / 1_000_000_000)
    }
}
