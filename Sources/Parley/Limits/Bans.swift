/// Addresses that are shut out for a while, under the node's lock.
///
/// A ban is of one IPv4 address, or of an IPv6 /64: a host can take any address of its own subnet.
struct Bans {
    private var until: [AddressRange: ContinuousClock.Instant] = [:]

    static func range(of address: IPAddress) -> AddressRange {
        AddressRange(address, length: address.isIPv4 ? 128 : 64)
    }

    mutating func add(_ address: IPAddress, until end: ContinuousClock.Instant, atMost limit: Int) {
        let range = Self.range(of: address)
        if until[range] == nil, until.count >= max(1, limit) {
            removeOver()
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

    /// What is banned now, and until when.
    mutating func all() -> [AddressRange: ContinuousClock.Instant] {
        removeOver()
        return until
    }

    private mutating func removeOver() {
        let now = ContinuousClock.now
        until = until.filter { $0.value > now }
    }
}
