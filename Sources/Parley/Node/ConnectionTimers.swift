/// Looks at a context's connections when it is time to: one alarm for all their time-outs. The context's thread only.
final class ConnectionTimers {
    private let loop: EventLoop
    /// Held as long as it has connections, which hold it too. Not weak: the node's count of references would be elsewhere
    /// from then on, and every message would pay for that.
    private var node: Node?
    private var connections = 0
    private var looks = DeadlineHeap()
    private var alarm: TimerFD?
    private var isSetFor = UInt64.max
    private var isLooking = false

    init(on loop: EventLoop) { self.loop = loop }

    /// A connection of `node` is taken in; ``hasLost()`` follows.
    func hasTakenIn(_ node: Node) {
        loop.assertIsCurrent()
        connections &+= 1
        if connections == 1 { self.node = node }
    }

    /// A connection that was taken in has ended.
    func hasLost() {
        loop.assertIsCurrent()
        connections &-= 1
        guard connections == 0 else { return }
        // The alarm stays as it is: the next connection may well come before it goes off.
        looks = DeadlineHeap()
        node = nil
    }

    /// Sees to it that the connection is looked at by then.
    func look(at connection: Connection, by due: UInt64) {
        loop.assertIsCurrent()
        guard due < connection.watch.nextLook, connection.ending != .over else { return }
        connection.watch.nextLook = due
        looks.push(DeadlineHeap.Entry(due: due, number: connection.number))
        setAlarm()
    }

    private func setAlarm() {
        guard let first = looks.first, first < isSetFor, !isLooking else { return }
        isSetFor = first
        let alarm = alarm ?? TimerFD(on: loop) { [self] in lookAround() }
        self.alarm = alarm
        let now = loop.milliseconds
        alarm.set(inMilliseconds: first > now ? first - now : 0)
    }

    private func lookAround() {
        isSetFor = .max
        isLooking = true
        let now = loop.milliseconds
        while let node, let entry = looks.pop(at: now) {
            guard let connection = node.connection(entry.number), connection.watch.nextLook == entry.due
            else {
                continue
            }
            connection.watch.nextLook = .max
            look(at: connection, by: connection.look(at: now))
        }
        isLooking = false
        setAlarm()
    }

    /// Ends the alarm; no connection comes any more.
    func stop() {
        alarm?.close()
        alarm = nil
        isSetFor = 0
    }
}
