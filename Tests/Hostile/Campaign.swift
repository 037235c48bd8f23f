import FaultProxy

/// One way to be a bad peer, and how many of it there are.
struct Campaign: Sendable {
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
        case .slow, .dribble: (total, concurrency) = (1_000, 1_000)
        case .tiny: (total, concurrency) = (.max, 16)
        case .unknown, .huge: (total, concurrency) = (.max, 64)
        case .random: (total, concurrency) = (connections, 512)
        case .partial: (total, concurrency) = (.max, 2)
        case .sip: (total, concurrency) = (.max, 64)
        case .reset: (total, concurrency) = (1_500, 100)
        case .first, .tag, .replay, .truncated, .reordered, .lowOrder, .foreign, .garbage, .unwanted:
            // So few that none of them waits for long, however slow the machine is.
            (total, concurrency) = (.max, 32)
        // Fewer than the handshakes that a node lets in at once: the others shall come to theirs.
        case .half: (total, concurrency) = (.max, 200)
        case .door: (total, concurrency) = (.max, Self.silentAtDoor)
        case .openings, .rapid, .overflow, .credit, .beyond, .never, .wrongSide, .pings, .goAways, .empty,
            .names, .crumbs:
            (total, concurrency) = (.max, 16)
        case .halfOpen: (total, concurrency) = (.max, 80)
        case .deaf, .stingy: (total, concurrency) = (.max, 8)
        case .header: (total, concurrency) = (.max, 4)
        }
    }

    /// More than the threads that the handshakes of C once shared, fewer than the handshakes that a node lets
    /// in at once.
    static let silentAtDoor = 200

    /// Whether it is over when all connections are made, rather than after a time.
    var isCounted: Bool { behaviour == .random || behaviour == .reset }

    /// The time between two connections, in seconds; 0 makes them as fast as it can.
    var interval: Double {
        switch behaviour {
        // Whoever comes back at once with 16 MiB measures the loopback device.
        case .partial, .deaf, .stingy, .header: 0.5
        // The kernel takes milliseconds to cut what is sent into segments for a tiny window. 64 at once would
        // measure that.
        case .sip: 0.01
        default: 0
        }
    }

    /// Whether it does not read what the node says.
    var isDeaf: Bool { behaviour == .sip || behaviour == .deaf }

    /// The receive buffer of its sockets; nil leaves the system's.
    var receiveBufferBytes: Int32? { behaviour == .sip ? 1 : nil }

    /// How long a connection lasts at most, in seconds: what it has sent has to arrive before a reset takes
    /// it back.
    var lifetime: Double {
        switch behaviour {
        case .random: 0.1
        case .reset: 0.3
        default: .infinity
        }
    }

    /// What a connection sends as fast as it is taken.
    func opening(_ random: inout SeededGenerator) -> [UInt8] {
        switch behaviour {
        case .silent, .door, .slow: return []
        // A ``Stranger`` says it.
        case .first, .half, .tag, .replay, .truncated, .reordered, .lowOrder, .foreign, .garbage, .unwanted:
            return []
        // A ``StreamAttack`` says it.
        case .openings, .rapid, .overflow, .credit, .beyond, .never, .wrongSide, .pings, .goAways, .empty,
            .halfOpen, .names, .crumbs, .deaf, .stingy, .header:
            return []
        case .tiny: return Greeting.bytes + Self.tinyFrames
        case .unknown: return Greeting.bytes + [0x7f, 0, 0, 0, 1, 0]
        case .huge: return Greeting.bytes + Self.header(.max) + [UInt8](repeating: 0, count: 1_000)
        case .random:
            let noise = (0..<Int.random(in: 1...64, using: &random)).map { _ in
                UInt8(truncatingIfNeeded: random.next())
            }
            return random.oneIn(4) ? Greeting.bytes + noise : noise
        case .partial: return random.oneIn(2) ? Self.partialHeader : Self.partialMessage
        case .dribble: return Greeting.bytes + Self.header(random.oneIn(2) ? Self.largestFrame : 1_000)
        case .sip: return Greeting.bytes + Self.header(4) + Array("feed".utf8)
        case .reset: return Self.unwanted
        }
    }

    /// What it sends behind the opening, a byte a second.
    var trickle: ArraySlice<UInt8> {
        switch behaviour {
        case .slow: Greeting.bytes[...]
        case .partial, .dribble: Self.zeros
        default: []
        }
    }
}

// MARK: - Bytes

extension Campaign {
    /// The longest message that a node takes unless it is told otherwise.
    private static let largestFrame: UInt32 = 16 << 20
    private static let heldBack = 64 << 10

    /// A frame's type and length: a message's, or a stream's opening.
    private static func header(_ length: UInt32, type: UInt8 = 1) -> [UInt8] {
        [type] + withUnsafeBytes(of: length.bigEndian) { Array($0) }
    }

    /// Less than it would take to end any of the frames.
    private static let zeros = [UInt8](repeating: 0, count: 900)[...]

    private static let partialMessage = partial(type: 1)
    private static let partialHeader = partial(type: 2)

    private static func partial(type: UInt8) -> [UInt8] {
        Greeting.bytes + header(largestFrame, type: type)
            + [UInt8](repeating: 0, count: Int(largestFrame) - heldBack)
    }

    /// 64 KiB of messages that hold one byte each.
    static let tinyFrames = [UInt8]((0..<10_922).map { _ in [1, 0, 0, 0, 1, UInt8(ascii: "x")] }.joined())

    /// 190 KB of messages that hold 1,000 bytes each.
    private static let unwanted =
        Greeting.bytes + (0..<189).flatMap { _ in header(1_000) + [UInt8](repeating: 0, count: 1_000) }
}
