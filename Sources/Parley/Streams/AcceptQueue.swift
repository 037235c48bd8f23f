/// Streams of one protocol that wait for a thread to accept them. Any thread.
package final class AcceptQueue: Sendable {
    private struct State {
        var streams = SharedLine<PeerStream, ConnectionID>(capacity: AcceptQueue.capacity)
        var waiters = WaitQueue()
        /// Why no more streams come.
        var end: ParleyError?
    }

    private let state = Lock(State())
    private let name: String

    /// How many streams wait. When there are more, one of the peer that has opened most of them is reset.
    package static let capacity = 128

    /// Makes a queue for the protocol of this name.
    package init(_ name: String) { self.name = name }

    /// Takes a stream that a peer has opened. Resets one when too many wait.
    package func add(_ stream: PeerStream) {
        let (refused, woken) = state.withLock { state -> (PeerStream?, WaitQueue.Woken) in
            guard state.end == nil else { return (stream, WaitQueue.Woken()) }
            let refused = state.streams.append(stream, from: stream.peer.connectionID)
            return (refused, state.waiters.wake(atMost: 1))
        }
        woken.resume()
        refused?.refuse()
    }

    /// The oldest stream. Blocks until there is one.
    ///
    /// - Throws: why the queue has ended; `wouldBlock` when it may not wait, `wouldDeadlock` on an event
    ///   loop's thread, `timedOut` at the wait limit.
    package func next(_ limit: WaitLimit) throws(ParleyError) -> PeerStream {
        while true {
            let first = try state.withLock { state throws(ParleyError) -> PeerStream? in
                if let end = state.end { throw end }
                return state.streams.popFirst()
            }
            if let first { return first }
            guard case .until(let deadline) = limit else {
                throw ParleyError(.wouldBlock, "no stream for \(name) has arrived yet")
            }
            guard !EventLoop.isCurrentThreadALoop else {
                throw ParleyError(.wouldDeadlock, "waiting for a stream would block an event loop's thread")
            }
            let isReady = { (state: inout State) in !state.streams.isEmpty || state.end != nil }
            guard state.block(in: \.waiters, until: deadline, unless: isReady) else {
                throw ParleyError(.timedOut, "no stream for \(name) arrived in time")
            }
        }
    }

    /// Ends the queue, and refuses the streams that wait. Only the first reason counts.
    package func end(_ reason: ParleyError) {
        let (streams, woken) = state.withLock { state in
            state.end = state.end ?? reason
            return (state.streams.removeAll(), state.waiters.wakeAll())
        }
        woken.resume()
        for stream in streams { stream.refuse() }
    }
}
