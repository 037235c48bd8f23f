// RPCs that consumers are not done with, and requests that nobody has answered. A connection whose other
// side has ended its sending (half-close) waits for them before it ends: the other side may still read the
// answers.
//
// ``Connection/unconsumed`` is twice their number, plus 1 once the input is over: both change in one step, so
// either the last consumer or the loop ends the connection.

extension Connection {
    private static let isOver = 1

    /// Counts RPCs that go to the inbox, before they are offered. A request counts once more, until it is
    /// answered.
    @inline(__always)
    func delivering(_ count: Int) { unconsumed.add(2 &* count, ordering: .relaxed) }

    /// Counts RPCs that a consumer is done with, and ends the connection if it waited for them. Any thread.
    ///
    /// A C program is done with an RPC when it releases it, a Swift consumer when it asks for the next one.
    public func consumed(_ count: Int) {
        var before = unconsumed.load(ordering: .relaxed)
        while true {
            // A transport of the program may pass on an RPC, which is then counted twice.
            let left = max(0, before >> 1 &- count) << 1 | before & Self.isOver
            let (isDone, found) = unconsumed.weakCompareExchange(
                expected: before,
                desired: left,
                ordering: .acquiringAndReleasing
            )
            if isDone {
                if left == Self.isOver { close(because: reasonOfEnd) }
                return
            }
            before = found
        }
    }

    /// Ends the connection after its last input: at once, or when consumers are done with what it sent. The
    /// loop's thread only.
    func inputIsOver(_ reason: ParleyError) {
        guard reason.code == .endOfStream,
            unconsumed.bitwiseOr(Self.isOver, ordering: .acquiringAndReleasing).newValue != Self.isOver
        else { return close(because: reason) }
        apply(.remoteEnded(reason))
        // The other side cannot answer any more.
        health.stopHeartbeats()
        context.timers.check(self, by: halfCloseDeadline)
    }

    /// When a half-closed connection ends, though consumers are not done: after the close time-out, or after
    /// a second while nobody has ever consumed.
    private var halfCloseDeadline: UInt64 {
        let (due, timeout) = (rareTimes.value.closeDeadline, node.options.closeTimeout.inMilliseconds)
        let isServed = node.takesRPCs || node.inbox?.hasConsumers == true
        return isServed ? due : due &- timeout &+ min(timeout, 1_000)
    }

    /// Ends a half-closed connection when its time is up. Returns when to check again, in milliseconds. The
    /// loop's thread only.
    func checkHalfClose(at now: UInt64) -> UInt64 {
        let due = halfCloseDeadline
        if now < due { return due }
        apply(.timeIsUp)
        return .max
    }

    private var reasonOfEnd: ParleyError {
        inbound.withLock { $0.state.inputEnd } ?? .remoteClosed
    }
}
