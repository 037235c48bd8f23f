/// The banned addresses and ids, and when each ban ends. Guarded by the node's lock.
///
/// A ban covers an id, one IPv4 address, or one IPv6 /64: an IPv6 host can take any address of its own
/// subnet.
struct Bans {
    private var addresses = Table<AddressRange>()
    private var ids = Table<PeerID>()

    static func range(of address: IPAddress) -> AddressRange {
        AddressRange(address, length: address.isIPv4 ? 128 : 64)
    }

    /// Adds a ban. Over the limit, the ban of an address that would end first is dropped.
    mutating func add(_ address: IPAddress, until end: ContinuousClock.Instant, atMost limit: Int) {
        addresses.add(Self.range(of: address), until: end, atMost: limit)
    }

    /// The same for an id. The limit is that of ids.
    mutating func add(_ id: PeerID, until end: ContinuousClock.Instant, atMost limit: Int) {
        ids.add(id, until: end, atMost: limit)
    }

    mutating func remove(_ address: IPAddress) { addresses.until[Self.range(of: address)] = nil }
    mutating func remove(_ id: PeerID) { ids.until[id] = nil }

    func contains(_ address: IPAddress) -> Bool {
        guard !addresses.until.isEmpty else { return false }
        return addresses.contains(Self.range(of: address))
    }

    func contains(_ id: PeerID) -> Bool { ids.contains(id) }

    /// The bans of addresses that have not ended.
    mutating func all() -> [AddressRange: ContinuousClock.Instant] { addresses.all() }

    /// The bans of ids that have not ended.
    mutating func allIDs() -> [PeerID: ContinuousClock.Instant] { ids.all() }

    private struct Table<Key: Hashable> {
        var until: [Key: ContinuousClock.Instant] = [:]

        mutating func add(_ key: Key, until end: ContinuousClock.Instant, atMost limit: Int) {
            if until[key] == nil, until.count >= max(1, limit) {
                removeExpired()
                if until.count >= max(1, limit), let first = until.min(by: { $0.value < $1.value }) {
                    until[first.key] = nil
                }
            }
            until[key] = end
        }

        func contains(_ key: Key) -> Bool {
            guard let end = until[key] else { return false }
            return end > .now
        }

        mutating func all() -> [Key: ContinuousClock.Instant] {
            removeExpired()
            return until
        }

        private mutating func removeExpired() {
            let now = ContinuousClock.now
            until = until.filter { $0.value > now }
        }
    }
}
