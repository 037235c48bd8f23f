// What a node counts, collected for one snapshot.

extension Node {
    func statistics(of inbox: Inbox) -> TransportStatistics {
        var statistics = TransportStatistics()
        if ForkedChild.isThisProcess { return statistics }
        // Before the table is read: a connection that is in the table has added nothing here.
        let late = lateTraffic.withLock { $0 }
        let (connections, undelivered) = state.withLock { state in
            state.counters.report(to: &statistics)
            statistics.dialing = state.admission.dialing
            statistics.acceptPause = state.acceptPause
            // A connection whose end is under way may be in both.
            let undelivered = state.undelivered.values.filter { state.connections[$0.number] == nil }
            return (state.connections.elements.map(\.connection), undelivered)
        }
        statistics.traffic.add(late)
        for connection in connections {
            // A peer whose connection has ended still counts as one until its disconnect is counted.
            switch (connection.wasOpen, connection.isOutbound) {
            case (true, false): statistics.inboundPeers += 1
            case (true, true): statistics.outboundPeers += 1
            case (false, _): statistics.handshaking += 1
            }
        }
        for connection in undelivered { statistics.unreadBytes += connection.statistics.unreadBytes }
        statistics.uptime = began.duration(to: .now)
        (statistics.inboxRPCs, statistics.inboxBytes) = inbox.depth
        for connection in connections {
            let peer = connection.statistics
            statistics.traffic.add(peer.traffic)
            statistics.unsentBytes += peer.unsentBytes
            statistics.unreadBytes += peer.unreadBytes
            statistics.openRequests += peer.openRequests
            statistics.unansweredRequests += peer.unansweredRequests
            statistics.openStreams += peer.openStreams
            statistics.streamRefusals.add(peer.streamRefusals)
            if peer.isReadingPaused { statistics.pausedPeers += 1 }
        }
        return statistics
    }

    /// Whether the statistics of a connection are among those of ended connections. Its loop's thread only.
    func hasCounted(_ connection: Connection) -> Bool {
        state.withLock { $0.connections[connection.number] == nil }
    }

    /// Counts what a connection delivers after it was counted: ``hasCounted(_:)``. The caller holds the lock
    /// of its receiving half and counts the same there, so that no reading of the statistics is less than an
    /// earlier one.
    func countLate(_ decoded: DecodedRuns, opensStream: Bool, pausesReading: Bool) {
        var late = Traffic()
        late.messagesReceived = UInt64(decoded.messages)
        late.requestsReceived = UInt64(decoded.requests)
        late.streamsReceived = opensStream ? 1 : 0
        late.readPauses = pausesReading ? 1 : 0
        // Nobody waits for an answer any more.
        late.lateAnswers = UInt64(decoded.answers.count)
        lateTraffic.withLock { $0.add(late) }
    }

    /// Changes the counters under the lock.
    func count(_ body: (inout NodeCounters) -> Void) { state.withLock { body(&$0.counters) } }
}

extension NodeCounters {
    /// Counts a connection that has ended.
    mutating func count(_ end: Lifecycle.End, _ last: PeerStatistics) {
        pastTraffic.add(last.traffic)
        pastStreamRefusals.add(last.streamRefusals)
        disconnects[end.reason.code, default: 0] &+= 1
        if end.reason.code == .peerRefused {
            peersRefused &+= 1
        } else if !end.wasOpen, !end.isInOnPeer {
            handshakesFailed &+= 1
        }
    }
}
