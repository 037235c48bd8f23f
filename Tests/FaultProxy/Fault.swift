/// A fault at one byte of one direction of a connection.
public enum Fault: Sendable, Hashable {
    /// The bytes before this one and the bytes from it on leave in separate segments.
    case split
    /// Nothing is forwarded until this many bytes have arrived, or until the time is over.
    case merge(bytes: Int, within: Duration)
    /// This direction pauses.
    case delay(Duration)
    /// Both directions pause.
    case stall(Duration)
    /// These bits of the byte are flipped.
    case corrupt(mask: UInt8)
    /// Both sides see an orderly end here. Later bytes are dropped.
    case cut
    /// Both sides see a reset here.
    case reset
    /// Nothing more is forwarded in either direction, not even an end, as when a cable is pulled.
    case vanish

    /// The kind of a fault, for counting.
    public enum Kind: String, CaseIterable, Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        case split, merge, delay, stall, corrupt, cut, reset, vanish
    }

    /// The fault's kind.
    public var kind: Kind {
        switch self {
        case .split: .split
        case .merge: .merge
        case .delay: .delay
        case .stall: .stall
        case .corrupt: .corrupt
        case .cut: .cut
        case .reset: .reset
        case .vanish: .vanish
        }
    }
}

/// The direction of a byte: to the proxy's target, or back from it.
public enum Direction: Int, Sendable, CaseIterable {
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    case toTarget, fromTarget
}

/// What a proxy does to its connections: how it cuts the bytes into pieces, and which faults it injects
/// where.
///
/// It is deterministic for each connection, counted from 0, and each direction.
public struct FaultPlan: Sendable {
    /// How the bytes between two faults are cut.
    public enum Pieces: Sendable {
        /// The pieces that were read.
        case whole
        /// Pieces of random sizes, from one byte to whole buffers.
        case random
        /// Single bytes.
        case singleBytes
    }

    /// A fault at a chosen byte.
    public struct Chosen: Sendable {
        let connection: Int
        let direction: Direction
        let offset: Int
        let fault: Fault

        /// `fault` before the byte at `offset`; a corruption changes that byte.
        public init(_ fault: Fault, at offset: Int, _ direction: Direction, ofConnection connection: Int = 0)
        {
            self.fault = fault
            self.offset = offset
            self.direction = direction
            self.connection = connection
        }
    }

    /// The seed of the random choices.
    public var seed: UInt64
    /// See ``Pieces``.
    public var pieces: Pieces
    /// The mean number of bytes between two random faults of a kind. Missing kinds never occur.
    public var meanBytes: [Fault.Kind: Int]
    /// The faults at chosen bytes.
    public var chosen: [Chosen]
    /// The longest random stall.
    public var longestStall: Duration

    /// Makes a plan. The defaults forward everything unchanged.
    public init(
        seed: UInt64 = 0,
        pieces: Pieces = .whole,
        meanBytes: [Fault.Kind: Int] = [:],
        chosen: [Chosen] = [],
        longestStall: Duration = .seconds(1)
    ) {
        self.seed = seed
        self.pieces = pieces
        self.meanBytes = meanBytes
        self.chosen = chosen
        self.longestStall = longestStall
    }

    /// Forwards every byte in order, and moves every boundary.
    public static func splitting(seed: UInt64) -> FaultPlan { FaultPlan(seed: seed, pieces: .random) }

    /// Forwards single bytes.
    public static let singleBytes = FaultPlan(pieces: .singleBytes)
}
