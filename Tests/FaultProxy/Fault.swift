/// What can be done to a connection, at one byte of one of its directions.
public enum Fault: Sendable, Hashable {
    /// What comes before and what comes behind travel in segments of their own.
    case split
    /// Nothing is handed on until this many bytes have come, or the time is over.
    case merge(bytes: Int, within: Duration)
    /// This direction waits.
    case delay(Duration)
    /// Both directions wait.
    case stall(Duration)
    /// The byte is changed by these bits.
    case corrupt(mask: UInt8)
    /// Both sides see an orderly end here, what comes behind is dropped.
    case cut
    /// Both sides see a reset here.
    case reset
    /// Nothing is handed on any more in either direction, not even an end: as when a cable is pulled.
    case vanish

    /// What faults are counted by.
    public enum Kind: String, CaseIterable, Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        case split, merge, delay, stall, corrupt, cut, reset, vanish
    }

    /// Which of the kinds it is.
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

/// The direction of a byte: from the one who has connected to the proxy, or back from the proxy's target.
public enum Direction: Int, Sendable, CaseIterable {
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    case toTarget, fromTarget
}

/// What a proxy does to its connections: how it cuts the bytes into pieces, and which faults it injects where.
///
/// For each connection, counted from 0, and each direction it says the same whenever it is asked.
public struct FaultPlan: Sendable {
    /// How the bytes between two faults are cut.
    public enum Pieces: Sendable {
        /// As they come.
        case whole
        /// Pieces of random size, mostly small, some of whole buffers.
        case random
        /// Every byte by itself.
        case singleBytes
    }

    /// A fault at a byte that somebody has chosen.
    public struct Chosen: Sendable {
        let connection: Int
        let direction: Direction
        let offset: Int
        let fault: Fault

        /// `fault` in front of the byte at `offset` (a corruption: of that byte).
        public init(_ fault: Fault, at offset: Int, _ direction: Direction, ofConnection connection: Int = 0)
        {
            self.fault = fault
            self.offset = offset
            self.direction = direction
            self.connection = connection
        }
    }

    /// What random choices are repeated by.
    public var seed: UInt64
    /// See ``Pieces``.
    public var pieces: Pieces
    /// How many bytes there are between two random faults of a kind, on average; kinds that are missing never come.
    public var meanBytes: [Fault.Kind: Int]
    /// Faults that come in any case.
    public var chosen: [Chosen]
    /// How long a random stall lasts at most.
    public var longestStall: Duration

    /// A plan; the defaults hand on everything as it comes.
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

    /// Hands every byte on in its order, and moves every boundary.
    public static func splitting(seed: UInt64) -> FaultPlan { FaultPlan(seed: seed, pieces: .random) }

    /// Every byte travels by itself.
    public static let singleBytes = FaultPlan(pieces: .singleBytes)
}
