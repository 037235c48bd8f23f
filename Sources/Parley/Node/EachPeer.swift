// One consumer for each peer.

extension Transport {
    /// Runs `body` for each peer that sends something, in a task of its own, with the RPCs of that peer in
    /// order. The peers go on side by side: one whose `body` is slow, or reads a stream that stalls, holds
    /// nobody else up.
    ///
    /// ```swift
    /// try await transport.consumeEachPeer { peer, rpcs in
    ///     for await rpc in rpcs {
    ///         try await rpc.body?.receive(into: "/srv/inbox/\(name(of: rpc))")
    ///     }
    /// }
    /// ```
    ///
    /// The inbox's bound holds for all peers together (``TransportOptions/inboxCapacity``,
    /// ``TransportOptions/inboxCapacityBytes``). A peer may have as much in it as is free. So one slow peer
    /// takes half of it, two take a third each, and every other peer still has room for at least one RPC. A
    /// peer that has used its part is not read until its `body` has taken half of it.
    ///
    /// **Beginning.** `body` is called for a peer's first RPC. Call this once; consumers of ``consume()`` get
    /// nothing meanwhile.
    ///
    /// **End of a peer.** `rpcs` ends when the connection has ended and all that it had sent is taken. A
    /// stream that is open then has to be closed first (``PeerStream/close()``); nothing behind it arrives
    /// before. It is closed after ``TransportOptions/streamIdleTimeout`` without a read. When `body`
    /// returns earlier, it is called again for RPCs that are left or come later. A `body` that returns
    /// without having taken an RPC loses one.
    ///
    /// **Errors.** A `body` that throws ends its peer alone: the connection is closed, with the thrown
    /// ``ParleyError`` as the reason (`closed` for other errors), and what it has sent is dropped.
    ///
    /// **End of all.** Returns when the transport is closed and every `body` has returned. Cancel the task to
    /// end it earlier: each `body` is cancelled, and its `rpcs` ends after those that have arrived. RPCs that
    /// a `body` leaves wait for ``consume()``, or for another call of this function.
    ///
    /// - Parameter body: called with a peer and its RPCs. Where it runs is up to Swift; inside
    ///   ``TCPTransport/consumeOnEachLoop(_:)`` it runs on the loop of its peer.
    /// - Throws: ``ParleyError``: `invalidArgument` when another call of it is running, `forked`.
    public func consumeEachPeer(
        _ body: @escaping @Sendable (_ peer: any Peer, _ rpcs: RPCSequence) async throws -> Void
    ) async throws(ParleyError) { try await consume().consumeEachPeer(body) }
}

extension RPCSequence {
    /// As ``Transport/consumeEachPeer(_:)``, for the peers of one loop:
    ///
    /// ```swift
    /// try await transport.consumeOnEachLoop { rpcs in
    ///     try await rpcs.consumeEachPeer { peer, rpcs in
    ///         for await rpc in rpcs { try await peer.send(message: rpc.payload) }
    ///     }
    /// }
    /// ```
    ///
    /// - Throws: ``ParleyError``: `invalidArgument` when another call of it is running, or when these are the
    ///   RPCs of one peer; `forked`.
    public func consumeEachPeer(
        _ body: @escaping @Sendable (_ peer: any Peer, _ rpcs: RPCSequence) async throws -> Void
    ) async throws(ParleyError) {
        try ForkedChild.check()
        let queues = source.queues
        let arrivals = PeerArrivals(queues: queues.count)
        var begun: [InboxQueue] = []
        func end() {
            let left = begun.reduce(0) { $0 &+ $1.endLanes() }
            if left > 0 { queues[0].wakeConsumersOfAll() }
        }
        do throws(ParleyError) {
            for queue in queues {
                try queue.beginLanes(arrivals)
                begun.append(queue)
            }
        } catch {
            end()
            throw error
        }
        await withDiscardingTaskGroup { group in
            while let lanes = await arrivals.next() {
                for lane in lanes { group.addTask { await lane.serve(body) } }
            }
        }
        end()
    }
}

extension PeerLane {
    /// Calls `body` until there is nothing more to take from this lane.
    fileprivate func serve(
        _ body: @Sendable (_ peer: any Peer, _ rpcs: RPCSequence) async throws -> Void
    ) async {
        (peer as? Connection)?.endDeliveryIfEnded()
        repeat {
            queue.beginTaking()
            do { try await body(peer, RPCSequence(queue)) } catch {
                // The cancelled consumer's peer is still a good one.
                guard !Task.isCancelled else { return }
                return await end(error)
            }
        } while !Task.isCancelled && owner.goesOn(self)
    }

    /// Ends the peer whose consumer has thrown.
    private func end(_ error: any Error) async {
        owner.drop(self)
        guard let connection = peer as? Connection else { return await peer.close() }
        connection.close(
            because: error as? ParleyError
                ?? ParleyError(.closed, "the consumer of \(peer.remoteAddress) threw: \(error)")
        )
    }
}
