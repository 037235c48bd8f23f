/// Runs the time-outs of one loop's connections with one timer. The loop's thread only.
///
/// A connection has at most one entry that counts, ``Connection/nextCheck``: the first of everything that it waits for.
final class ConnectionTimers {
    private let loop: EventLoop
    /// Held as long as it has connections, which hold it too. A weak reference would move the node's reference count
    /// to a side table, and every message would pay for that.
    private var node: Node?
    private var connections = 0
    private var deadlines = DeadlineHeap()
    private var timer: TimerFD?
    /// When the timer goes off next; `.max` when it is not set.
    private var timerDue = UInt64.max
    private var isChecking = false

    init(on loop: EventLoop) { self.loop = loop }

    /// How many deadlines are kept; for tests.
    var deadlineCount: Int { deadlines.count }

    /// A connection of `node` begins; ``connectionEnded()`` follows.
    func connectionBegan(_ node: Node) {
        loop.assertIsCurrent()
        connections &+= 1
        if connections == 1 { self.node = node }
    }

    func connectionEnded() {
        loop.assertIsCurrent()
        connections &-= 1
        guard connections == 0 else { return compact() }
        // The timer stays as it is: the next connection may well come before it goes off.
        deadlines = DeadlineHeap()
        node = nil
    }

    /// Checks the connection's time-outs at `due` milliseconds, or earlier.
    func check(_ connection: Connection, by due: UInt64) {
        loop.assertIsCurrent()
        guard due < connection.nextCheck else { return }
        connection.nextCheck = due
        deadlines.push(.init(due: due, number: connection.number))
        compact()
        setTimer()
    }

    /// Entries of connections that have ended, or were moved to an earlier time, go before there are many of them.
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
        while let node, let entry = deadlines.pop(at: now) {
            guard let connection = node.connection(entry.number), connection.nextCheck == entry.due
            else { continue }
            connection.nextCheck = .max
            check(connection, by: connection.checkTimeouts(at: now))
        }
        isChecking = false
        setTimer()
    }

    /// Ends the timer; no connection comes any more.
    func stop() {
        timer?.close()
        timer = nil
        timerDue = 0
    }
}
