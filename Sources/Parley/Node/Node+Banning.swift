// Bans of addresses and ids. Any thread.

extension Node {
    func ban(_ ip: IPAddress, for duration: Duration) {
        guard let end = Self.end(ofBanFor: duration) else { return }
        let range = Bans.range(of: ip)
        let banned = state.withLock { state in
            state.admission.bans.add(ip, until: end, atMost: options.limits.maxBans)
            return state.connections.elements.map(\.connection)
        }.filter { $0.remoteIP.map(range.contains) ?? false }
        log(.notice, .banned, ["address": "\(range)", "seconds": "\(duration.components.seconds)"])
        let reason = ParleyError(.banned, "\(range) was banned")
        for connection in banned { connection.fail(reason) }
    }

    func ban(_ id: PeerID, for duration: Duration) {
        guard !ForkedChild.isThisProcess, let end = Self.end(ofBanFor: duration) else { return }
        let connections = state.withLock { state in
            state.admission.bans.add(id, until: end, atMost: options.limits.maxBans)
            return state.connections.elements.map(\.connection)
        }
        log(.notice, .banned, ["id": "\(id)", "seconds": "\(duration.components.seconds)"])
        let reason = ParleyError(.banned, "\(id) was banned")
        for connection in connections where connection.id == id { connection.fail(reason) }
    }

    /// When a ban ends that begins now; nil when it is none.
    private static func end(ofBanFor duration: Duration) -> ContinuousClock.Instant? {
        // The clock traps beyond what it can count.
        duration > .zero ? ContinuousClock.now + min(duration, .seconds(10 * 366 * 86_400)) : nil
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
