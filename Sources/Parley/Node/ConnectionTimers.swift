/// Runs the time-outs of one loop's connections with one timer. The loop's thread only.
///
/// At most one entry of a connection is valid: the one at ``Connection/nextCheck``, the earliest of its
/// time-outs.
final class ConnectionTimers {
    private let loop: EventLoop
    // Unchecked, as the deadlines are: each change of a time-out would pay for the checks.

    /// Strong while there are connections, which also hold it. A weak reference would move the node's
    /// reference count to a side table, which slows every retain.
    @exclusivity(unchecked) private var node: Node?
    private var connections = 0
    @exclusivity(unchecked) private var deadlines = DeadlineHeap()
    private var timer: TimerFD?
    /// When the timer fires next; `.max` when it is not set.
    private var timerDue = UInt64.max
    private var isChecking = false

    init(on loop: EventLoop) { self.loop = loop }

    /// Counts a new connection of `node`. ``connectionEnded()`` follows.
    func connectionBegan(_ node: Node) {
        loop.assertIsCurrent()
        connections &+= 1
        if connections == 1 { self.node = node }
    }

    func connectionEnded() {
        loop.assertIsCurrent()
        connections &-= 1
        guard connections == 0 else { return compact() }
        // The timer stays set: the next connection may come before it fires.
        deadlines.clear()
        node = nil
    }

    /// Checks the connection's time-outs at `due` milliseconds or earlier.
    func check(_ connection: Connection, by due: UInt64) {
        loop.assertIsCurrent()
        // Nothing is due of a connection that has ended.
        guard due < connection.nextCheck, connection.link != nil else { return }
        connection.nextCheck = due
        deadlines.push(.init(due: due, number: connection.number))
        compact()
        setTimer()
    }

    /// Removes invalid entries before there are many: those of connections that have ended or have an earlier
    /// entry.
    private func compact() {
        guard let node else { return }
        deadlines.compact(live: connections) { entry in
            node.connection(entry.number)?.nextCheck == entry.due
        }
    }

    private func setTimer() {
        guard let first = deadlines.first, first < timerDue, !isChecking else { return }
        timerDue = first
        let timer = timer ?? TimerFD(on: loop) { [self] in checkDue() }
        self.timer = timer
        let now = loop.milliseconds
        timer.set(inMilliseconds: first > now ? first - now : 0)
    }

    private func checkDue() {
        timerDue = .max
        isChecking = true
        let now = loop.milliseconds
        while let entry = deadlines.pop(at: now) {
            guard let connection = node?.connection(entry.number), connection.nextCheck == entry.due
            else { continue }
            connection.nextCheck = .max
            check(connection, by: connection.checkTimeouts(at: now))
        }
        isChecking = false
        setTimer()
    }

    /// Closes the timer. No connection is added afterwards.
    func stop() {
        timer?.close()
        timer = nil
        // Nothing is due earlier, so no timer is set again.
        timerDue = 0
    }
}
