/// Streams of one protocol that wait for a thread to accept them. Any thread.
package final class AcceptQueue: Sendable {
    private struct State {
        var streams: [PeerStream] = []
        var waiters = WaitQueue()
        /// Why no more streams come.
        var end: ParleyError?
    }

    private let state = Lock(State())
    private let name: String

    /// How many streams wait. Further ones are reset.
    package static let capacity = 128

    /// Makes a queue for the protocol of this name.
    package init(_ name: String) { self.name = name }

    /// Takes a stream that a peer has opened, or resets it when too many wait.
    package func add(_ stream: PeerStream) {
        let woken: WaitQueue.Woken? = state.withLock { state in
            guard state.end == nil, state.streams.count < Self.capacity else { return nil }
            state.streams.append(stream)
            return state.waiters.wake(atMost: 1)
        }
        guard let woken else { return stream.refuse() }
        woken.resume()
    }

    /// The oldest stream. Blocks until there is one.
    ///
    /// - Throws: why the queue has ended; `wouldBlock` when it may not wait, `wouldDeadlock` on an event
    ///   loop's thread, `timedOut` at the wait limit.
    package func next(_ limit: WaitLimit) throws(ParleyError) -> PeerStream {
        while true {
            let first = try state.withLock { state throws(ParleyError) -> PeerStream? in
                if let end = state.end { throw end }
                return state.streams.isEmpty ? nil : state.streams.removeFirst()
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
            defer { state.streams = [] }
            state.end = state.end ?? reason
            return (state.streams, state.waiters.wakeAll())
        }
        woken.resume()
        for stream in streams { stream.refuse() }
    }
}
