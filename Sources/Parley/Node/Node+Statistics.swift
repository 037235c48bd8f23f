extension Node {
    func statistics(of inbox: Inbox) -> TransportStatistics {
        var statistics = TransportStatistics()
        let connections = state.withLock { state in
            state.counters.report(to: &statistics)
            statistics.dialing = state.admission.dialing
            statistics.acceptPause = state.acceptPause
            for entry in state.connections.elements {
                switch (entry.stage, entry.connection.isOutbound) {
                case (.greeted, false): statistics.inboundPeers += 1
                case (.greeted, true): statistics.outboundPeers += 1
                default: statistics.ungreeted += 1
                }
            }
            return state.connections.elements.map(\.connection)
        }
        statistics.uptime = began.duration(to: .now)
        (statistics.inboxRPCs, statistics.inboxBytes) = inbox.depth
        for connection in connections {
            let peer = connection.statistics
            statistics.traffic.add(peer.traffic)
            statistics.unsentBytes += peer.unsentBytes
            statistics.unreadBytes += peer.unreadBytes
            if peer.isReadingPaused { statistics.pausedPeers += 1 }
        }
        return statistics
    }

    /// Counts something under the lock.
    func count(_ body: (inout NodeCounters) -> Void) { state.withLock { body(&$0.counters) } }
}

extension NodeCounters {
    mutating func count(
        end stage: Node.Stage,
        wasOpened: Bool,
        _ reason: ParleyError,
        _ traffic: Traffic
    ) {
        pastTraffic.add(traffic)
        disconnects[reason.code, default: 0] &+= 1
        if reason.code == .peerRefused {
            peersRefused &+= 1
        } else if !wasOpened, stage != .announcing {
            handshakesFailed &+= 1
        }
    }
}
