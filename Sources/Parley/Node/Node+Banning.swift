// Bans of addresses. Any thread.

extension Node {
    func ban(_ ip: IPAddress, for duration: Duration) {
        guard duration > .zero else { return }
        // The clock traps beyond what it can count.
        let end = ContinuousClock.now + min(duration, .seconds(10 * 366 * 86_400))
        let range = Bans.range(of: ip)
        let banned = state.withLock { state in
            state.admission.bans.add(ip, until: end, atMost: options.limits.maxBans)
            return state.connections.elements.map(\.connection)
        }.filter { $0.remoteIP.map(range.contains) ?? false }
        log(.notice, .banned, ["address": "\(range)", "seconds": "\(duration.components.seconds)"])
        let reason = ParleyError(.banned, "\(range) was banned")
        for connection in banned { connection.fail(reason) }
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
        if let ip = remoteIP, !ForkedChild.isThisProcess { node.ban(ip, for: duration) }
    }
}
