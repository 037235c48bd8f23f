/// The reason why the listener leaves connections in the backlog.
public enum AcceptPause: String, Sendable, Hashable, CaseIterable {
    /// ``Limits/maxPeers`` is reached.
    case maxPeers
    /// ``Limits/maxInboundPeers`` is reached.
    case maxInboundPeers
    /// ``Limits/maxHandshakes`` is reached.
    case maxHandshakes
    /// ``Limits/acceptsPerSecond`` is used up.
    case acceptsPerSecond
    /// The process or the system has no descriptors left.
    case descriptors
}

/// Counts connections against the limits. A value without sockets, guarded by the node's lock.
struct Admission {
    private let limits: Limits
    private(set) var inbound = 0
    private(set) var outbound = 0
    /// Dials that have no connection yet.
    private(set) var dialing = 0
    /// Inbound connections whose handshake and `onPeer` are not done.
    private(set) var handshakes = 0
    private var byAddress: [AddressRange: Int] = [:]
    var bans = Bans()

    init(_ limits: Limits) { self.limits = limits }

    private var total: Int { inbound + outbound + dialing }

    // MARK: Inbound

    /// The limit that is reached and keeps further connections in the backlog; nil when there is room.
    var pause: AcceptPause? {
        if total >= limits.maxPeers { return .maxPeers }
        if inbound >= limits.maxInboundPeers { return .maxInboundPeers }
        return handshakes >= limits.maxHandshakes ? .maxHandshakes : nil
    }

    /// Counts an inbound connection from `address`, unless a ban or a limit refuses it.
    ///
    /// - Returns: the reason of the refusal; nil when the connection is admitted.
    mutating func admit(_ address: IPAddress?) -> ParleyError.Code? {
        guard let address else {
            countInbound()
            return nil
        }
        if bans.contains(address) { return .banned }
        for (range, limit) in ranges(of: address) where byAddress[range, default: 0] >= limit {
            return .tooManyFromAddress
        }
        for (range, _) in ranges(of: address) { byAddress[range, default: 0] += 1 }
        countInbound()
        return nil
    }

    private mutating func countInbound() {
        inbound += 1
        handshakes += 1
    }

    /// An inbound connection is open: its handshake and `onPeer` are done.
    mutating func handshakeDone() { handshakes -= 1 }

    /// Removes an admitted inbound connection that has closed from the counts.
    mutating func leave(_ address: IPAddress?, wasOpen: Bool) {
        inbound -= 1
        if !wasOpen { handshakes -= 1 }
        guard let address else { return }
        for (range, _) in ranges(of: address) {
            let left = byAddress[range, default: 1] - 1
            byAddress[range] = left > 0 ? left : nil
        }
    }

    /// The ranges around `address` whose connections are limited, with their limits.
    private func ranges(of address: IPAddress) -> [(range: AddressRange, limit: Int)] {
        if address.isLoopback, limits.exemptsLoopback { return [] }
        if address.isIPv4 { return [(AddressRange(address, length: 128), limits.maxPeersPerIPv4)] }
        return [
            (AddressRange(address, length: 56), limits.maxPeersPerIPv6Customer),
            (AddressRange(address, length: 48), limits.maxPeersPerIPv6Site),
        ]
    }

    // MARK: Outbound

    /// Counts a dial; returns the error when a limit refuses it.
    mutating func beginDial() -> ParleyError? {
        if outbound + dialing >= limits.maxOutboundPeers {
            let most = limits.maxOutboundPeers
            return ParleyError(.tooManyPeers, "there are \(most) dialed peers, the most allowed")
        }
        if total >= limits.maxPeers {
            return ParleyError(.tooManyPeers, "there are \(limits.maxPeers) peers, the most allowed")
        }
        dialing += 1
        return nil
    }

    mutating func dialFailed() { dialing -= 1 }

    /// A dial has become a connection.
    mutating func dialed() {
        dialing -= 1
        outbound += 1
    }

    /// Removes an outbound connection that has closed from the counts.
    mutating func leaveOutbound() { outbound -= 1 }
}

/// The accept rate limit: a token bucket that holds one second's worth.
struct AcceptBudget {
    private let perSecond: Int
    private var tokens: Double
    private var filledAt: UInt64?

    init(perSecond: Int) {
        self.perSecond = max(1, perSecond)
        tokens = Double(self.perSecond)
    }

    /// Takes the token of one accept.
    mutating func take() { tokens -= 1 }

    /// How long to wait for the next token; nil when there is one. `now` is in milliseconds.
    mutating func wait(at now: UInt64) -> Duration? {
        if let filledAt, now > filledAt {
            tokens = min(Double(perSecond), tokens + Double(now - filledAt) * Double(perSecond) / 1_000)
        }
        filledAt = now
        guard tokens < 1 else { return nil }
        return .milliseconds(max(1, Int(((1 - tokens) * 1_000 / Double(perSecond)).rounded(.up))))
    }
}
