import FaultProxy

/// One way to be a bad peer, and how many of it there are.
struct Campaign: Sendable {
    enum Behaviour: String, CaseIterable, Sendable {
        /// Connects and sends nothing.
        case silent
        /// Sends the greeting, a byte a second.
        case slow
        /// Greets, and sends valid messages of one byte as fast as they are taken.
        case tiny
        /// Greets, and sends a type that no frame has.
        case unknown
        /// Greets, and announces a message of 4 GiB.
        case huge
        /// Sends random bytes, one in four behind a valid greeting; half reset at once, half wait a
        /// little to be dropped.
        case random
    }

    var behaviour: Behaviour
    /// How many connections to make in all.
    var total: Int
    /// How many at a time.
    var concurrency: Int

    /// - Parameter connections: how many random ones; it is the number that everything else is small against.
    init(_ behaviour: Behaviour, connections: Int) {
        self.behaviour = behaviour
        switch behaviour {
        case .silent: (total, concurrency) = (10_000, 10_000)
        case .slow: (total, concurrency) = (1_000, 1_000)
        case .tiny: (total, concurrency) = (.max, 16)
        case .unknown, .huge: (total, concurrency) = (.max, 64)
        case .random: (total, concurrency) = (connections, 512)
        }
    }

    /// Whether it is over when all connections are made, rather than after a time.
    var isCounted: Bool { behaviour == .random }

    /// What a connection sends at first.
    func opening(_ random: inout SeededGenerator) -> [UInt8] {
        switch behaviour {
        case .silent: return []
        case .slow: return Greeting.bytes
        case .tiny: return Greeting.bytes + Self.tinyFrames
        case .unknown: return Greeting.bytes + [0x7f, 0, 0, 0, 1, 0]
        case .huge: return Greeting.bytes + [1, 0xff, 0xff, 0xff, 0xff] + [UInt8](repeating: 0, count: 1_000)
        case .random:
            let noise = (0..<Int.random(in: 1...64, using: &random)).map { _ in
                UInt8(truncatingIfNeeded: random.next())
            }
            return random.oneIn(4) ? Greeting.bytes + noise : noise
        }
    }

    /// 64 KiB of messages that hold one byte each.
    static let tinyFrames = [UInt8]((0..<10_922).map { _ in [1, 0, 0, 0, 1, UInt8(ascii: "x")] }.joined())
}
