// Bans of addresses and ids. Any thread.

extension Node {
    func ban(_ ip: IPAddress, for duration: Duration) {
        let range = Bans.range(of: ip)
        ban("\(range)", loggedAs: "address", for: duration) {
            $0.add(ip, until: $1, atMost: $2)
        } where: {
            // Not what the range contains: ::/64 contains every IPv4 address.
            $0.remoteIP.map { Bans.range(of: $0) == range } ?? false
        }
    }

    func ban(_ id: PeerID, for duration: Duration) {
        ban("\(id)", loggedAs: "id", for: duration) {
            $0.add(id, until: $1, atMost: $2)
        } where: {
            $0.id == id
        }
    }

    /// Adds a ban, and ends the connections that it covers.
    private func ban(
        _ name: String,
        loggedAs key: String,
        for duration: Duration,
        _ add: (inout Bans, _ end: ContinuousClock.Instant, _ limit: Int) -> Void,
        where isCovered: (Connection) -> Bool
    ) {
        guard !ForkedChild.isThisProcess, duration > .zero else { return }
        // The clock traps beyond what it can count.
        let end = ContinuousClock.now + min(duration, .seconds(10 * 366 * 86_400))
        let connections = state.withLock { state in
            add(&state.admission.bans, end, options.limits.maxBans)
            return state.connections.elements.map(\.connection)
        }
        log(.notice, .banned, [key: "\(name)", "seconds": "\(duration.components.seconds)"])
        let reason = ParleyError(.banned, "\(name) was banned")
        for connection in connections where isCovered(connection) { connection.fail(reason) }
    }

    func unban(_ id: PeerID) {
        if ForkedChild.isThisProcess { return }
        state.withLock { $0.admission.bans.remove(id) }
    }

    var bannedIDs: [PeerID: ContinuousClock.Instant] {
        ForkedChild.isThisProcess ? [:] : state.withLock { $0.admission.bans.allIDs() }
    }

    func unban(_ ip: IPAddress) { state.withLock { $0.admission.bans.remove(ip) } }

    var bans: [AddressRange: ContinuousClock.Instant] {
        ForkedChild.isThisProcess ? [:] : state.withLock { $0.admission.bans.all() }
    }

    /// Parses the address to ban.
    static func ip(_ host: String) throws(ParleyError) -> IPAddress {
        try ForkedChild.check()
        guard let ip = IPAddress(host) else {
            throw ParleyError(.invalidAddress, "\"\(host)\" is not a numeric address")
        }
        return ip
    }
}

extension Connection {
    /// See ``Peer/ban(for:)``.
    public func ban(for duration: Duration) {
        if ForkedChild.isThisProcess { return }
        // An id alone is no hindrance: a new one costs nothing.
        if let id { node.ban(id, for: duration) }
        if let ip = remoteIP { node.ban(ip, for: duration) }
    }
}
