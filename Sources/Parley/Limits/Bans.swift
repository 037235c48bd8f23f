/// The banned addresses and when each ban ends. Guarded by the node's lock.
///
/// A ban covers one IPv4 address or one IPv6 /64: an IPv6 host can take any address of its own subnet.
struct Bans {
    private var until: [AddressRange: ContinuousClock.Instant] = [:]

    static func range(of address: IPAddress) -> AddressRange {
        AddressRange(address, length: address.isIPv4 ? 128 : 64)
    }

    /// Adds a ban. Over the limit, the ban that would end first is dropped.
    mutating func add(_ address: IPAddress, until end: ContinuousClock.Instant, atMost limit: Int) {
        let range = Self.range(of: address)
        if until[range] == nil, until.count >= max(1, limit) {
            removeExpired()
            if until.count >= max(1, limit), let first = until.min(by: { $0.value < $1.value }) {
                until[first.key] = nil
            }
        }
        until[range] = end
    }

    mutating func remove(_ address: IPAddress) { until[Self.range(of: address)] = nil }

    func contains(_ address: IPAddress) -> Bool {
        guard !until.isEmpty, let end = until[Self.range(of: address)] else { return false }
        return end > .now
    }

    /// The bans that have not ended.
    mutating func all() -> [AddressRange: ContinuousClock.Instant] {
        removeExpired()
        return until
    }

    private mutating func removeExpired() {
        let now = ContinuousClock.now
        until = until.filter { $0.value > now }
    }
}
