import Parley
import Synchronization

#if canImport(Glibc)
    import Glibc

    private let fileDescriptorLimit = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
#elseif canImport(Musl)
    import Musl

    private let fileDescriptorLimit = RLIMIT_NOFILE
#else
    import Darwin

    private let fileDescriptorLimit = RLIMIT_NOFILE
#endif

/// Which of those that have come have not offered anything. A value; ``SilentPeers`` closes whom it names.
struct SilentQueue<Key: Hashable> {
    /// So many may be silent. When another one comes, the one that has been silent longest gives way.
    let capacity: Int
    /// In the order of their arrival. A number that is left out has offered, or gone.
    private var arrivals: [Int: Key] = [:]
    private var numbers: [Key: Int] = [:]
    private var oldest = 0
    private var next = 0

    init(capacity: Int) { self.capacity = capacity }

    /// Returns who gives way; nil when there is room.
    mutating func add(_ key: Key) -> Key? {
        arrivals[next] = key
        numbers[key] = next
        next += 1
        guard numbers.count > capacity else { return nil }
        while oldest < next {
            defer { oldest += 1 }
            guard let key = arrivals.removeValue(forKey: oldest) else { continue }
            numbers[key] = nil
            return key
        }
        return nil
    }

    /// It has offered something, or has gone.
    mutating func remove(_ key: Key) {
        guard let number = numbers.removeValue(forKey: key) else { return }
        arrivals[number] = nil
    }
}

extension SilentPeers {
    /// Divides the places of a receiver, so that those who offer find some whoever else has come.
    ///
    /// - Returns: how many may be silent behind the handshake.
    static func makeRoom(in options: inout TransportOptions) -> Int {
        // A transfer has up to four descriptors: its socket, a folder, a part, and a file that shows the mode
        // of new files. The tool itself has a few.
        let places = max(4, min(options.limits.maxInboundPeers, (descriptors(atMost: 8_192) - 64) / 4))
        // Who says nothing at all is in the handshake: others pass it in less than a round trip or two.
        options.limits.maxHandshakes = places / 2
        options.timeouts.handshake = .seconds(5)
        return places / 4
    }
}

/// Raises the limit of descriptors as far as the system allows without asking.
///
/// - Returns: how many there are now.
private func descriptors(atMost wanted: rlim_t) -> Int {
    var limit = rlimit()
    guard getrlimit(fileDescriptorLimit, &limit) == 0 else { return 256 }
    if limit.rlim_cur < wanted {
        var raised = limit
        raised.rlim_cur = min(wanted, limit.rlim_max)
        if setrlimit(fileDescriptorLimit, &raised) == 0 { limit = raised }
    }
    return Int(clamping: limit.rlim_cur)
}

/// Closes connections that offer nothing, the oldest first, so that they never keep others out.
final class SilentPeers: Sendable {
    private struct State {
        var queue: SilentQueue<ConnectionID>
        var peers: [ConnectionID: any Peer] = [:]
    }

    private let state: Mutex<State>

    /// - Parameter capacity: how many may be silent at a time.
    init(capacity: Int) { state = Mutex(State(queue: SilentQueue(capacity: capacity))) }

    func hasCome(_ peer: any Peer) {
        let crowdedOut = state.withLock { state in
            state.peers[peer.connectionID] = peer
            return state.queue.add(peer.connectionID).flatMap { state.peers.removeValue(forKey: $0) }
        }
        if let crowdedOut { Task { await crowdedOut.close() } }
    }

    func hasOffered(_ peer: any Peer) { remove(peer) }

    func hasGone(_ peer: any Peer) { remove(peer) }

    private func remove(_ peer: any Peer) {
        state.withLock { state in
            state.queue.remove(peer.connectionID)
            state.peers[peer.connectionID] = nil
        }
    }
}
