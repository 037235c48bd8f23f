// Which events of peers go to the inbox, and when. Only with `TransportOptions.peerEventCapacity`.

extension Node {
    /// Throws when too many events wait: peers would otherwise come and go without a bound while nobody takes
    /// their events. A connection's loop's thread only.
    func checkEventRoom() throws(ParleyError) {
        guard options.peerEventCapacity > 0, let inbox, inbox.mostEvents >= options.peerEventCapacity else {
            return
        }
        throw ParleyError(
            .receiveBufferFull,
            "\(options.peerEventCapacity) events of peers wait for a consumer"
        )
    }

    /// Puts the event of an opened connection into the inbox. Its loop's thread only.
    func tellConnected(_ connection: Connection) {
        if options.peerEventCapacity > 0 { tell(.connected, "", of: connection) }
    }

    /// Puts the event of an ended connection into the inbox, or lets it follow the last messages, which wait
    /// for room. Its loop's thread only.
    func tellDisconnected(_ connection: Connection, _ end: Lifecycle.End) {
        guard options.peerEventCapacity > 0, end.wasOpen else { return }
        let waits = connection.inbound.withLock { inbound in
            inbound.owesEvent = inbound.intake.awaitsInbox
            return inbound.owesEvent
        }
        if !waits { tell(.disconnected(end.reason.code.rawValue), end.reason.message, of: connection) }
    }

    /// Puts the event of an ended connection into the inbox whose last messages are delivered or dropped. Any
    /// thread.
    func tellOwedEvent(of connection: Connection) {
        let owesEvent = connection.inbound.withLock { inbound in
            defer { inbound.owesEvent = false }
            return inbound.owesEvent
        }
        guard owesEvent, let reason = connection.outbound.withLock({ $0.lifecycle.end?.reason }) else {
            return
        }
        connection.loop.perform { [self] in
            tell(.disconnected(reason.code.rawValue), reason.message, of: connection)
        }
    }

    fileprivate func tell(_ event: PeerEvent, _ text: String, of connection: Connection) {
        let context = connection.context
        guard let room = inbox?.offer(event, text, of: connection, to: context.index) else { return }
        context.local.value.inboxRoom = room
    }
}

extension Connection {
    /// Puts an event into the inbox, unless the event of this connection's end is there. The loop's thread
    /// only.
    package func tell(_ event: PeerEvent) {
        guard !outbound.withLock({ $0.lifecycle.hasEnded }) else { return }
        node.tell(event, "", of: self)
    }

    /// Puts the event of a stream that the peer has opened into the inbox. The loop's thread only.
    ///
    /// - Returns: false when too many events wait, or when the connection has ended.
    package func tellAccepted(_ number: UInt64, _ name: String) -> Bool {
        guard (try? node.checkEventRoom()) != nil, !outbound.withLock({ $0.lifecycle.hasEnded }) else {
            return false
        }
        node.tell(.streamAccepted(number), name, of: self)
        return true
    }
}
