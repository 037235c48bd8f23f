import Parley

extension Campaign {
    enum Behaviour: String, CaseIterable, Codable, Sendable {
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
        /// Greets, and sends a message, or stream header, of 16 MiB: the last 64 KiB a byte a second.
        case partial
        /// Greets, and sends a message of 1,000 bytes, or of 16 MiB, a byte a second.
        case dribble
        /// Greets, asks for messages without end, and reads a byte of them 50 times a second.
        case sip
        /// Greets, sends 190 KB of messages to a node whose inbox is full, and resets.
        case reset
        /// Connects to a node that was made through the C API, and sends nothing.
        case door

        // Of a secured node.

        /// Sends the first message of the handshake, and leaves when it is answered: the answer costs the
        /// node two Diffie-Hellman operations.
        case first
        /// Sends the first message of the handshake, and waits.
        case half
        /// Changes a bit: of the last message of the handshake, or of a message behind it.
        case tag
        /// Sends a message twice; or the last message of somebody else's handshake.
        case replay
        /// Sends a part of a message and ends; or says that a message is shorter than it is.
        case truncated
        /// Sends the second message before the first one.
        case reordered
        /// Shows a key of low order, as its ephemeral or its static one.
        case lowOrder
        /// Shows an identity that has not signed its key.
        case foreign
        /// Sends random bytes in the place of a message of the handshake, or a message that is too long.
        case garbage
        /// Does everything right, with an identity that is not allowed.
        case unwanted

        // Of a multiplexed node. All of them greet first.

        /// Opens streams without end, and says nothing on them.
        case openings
        /// Opens streams without end, proposes a protocol that the node speaks, and resets them at once.
        case rapid
        /// Widens a window to 4 GiB and more.
        case overflow
        /// Widens a window without end, by one byte.
        case credit
        /// Sends a frame that is longer than the window.
        case beyond
        /// Sends data for a stream that never was; or resets such streams without end.
        case never
        /// Opens a stream with an id of the node's; or one twice.
        case wrongSide
        /// Sends pings without end.
        case pings
        /// Says without end that it takes no more streams.
        case goAways
        /// Sends data frames without data, without end.
        case empty
        /// Opens 160 streams with half a proposal on each. With all connections there are more than 10,000.
        case halfOpen
        /// Proposes names that nobody speaks, 64 on each stream, without end.
        case names
        /// The same, with each byte in a frame of its own.
        case crumbs
        /// Has 200 KiB echoed on each of many streams, and reads nothing.
        case deaf
        /// The same; reads, but never says so: the node's windows are not widened.
        case stingy
        /// Sends stream headers of 16 MiB, which do not end: several at once; or the last part of one with
        /// each byte in a frame of its own.
        case header

        /// The kind of node that is attacked.
        enum Aim: Sendable { case plain, secured, multiplexed }

        var aim: Aim {
            switch self {
            case .silent, .slow, .tiny, .unknown, .huge, .random, .partial, .dribble, .sip, .reset, .door:
                .plain
            case .first, .half, .tag, .replay, .truncated, .reordered, .lowOrder, .foreign, .garbage,
                .unwanted:
                .secured
            case .openings, .rapid, .overflow, .credit, .beyond, .never, .wrongSide, .pings, .goAways,
                .empty, .halfOpen, .names, .crumbs, .deaf, .stingy, .header:
                .multiplexed
            }
        }

        /// The reasons with which a secured or multiplexed node ends the connections.
        var endings: [ParleyError.Code] {
            switch self {
            case .first: [.connectionReset, .endOfStream]
            case .half: [.timedOut]
            case .truncated: [.truncated, .securityFailed]
            case .unwanted: [.identityNotAllowed]
            case .deaf, .stingy: [.receiveBufferFull]
            // It waits for no window.
            case .header: [.receiveBufferFull, .protocolViolation]
            default: aim == .multiplexed ? [.protocolViolation] : [.securityFailed]
            }
        }

        /// What becomes of the connections to a multiplexed node.
        enum Fate: Sendable {
            case dropped
            /// What they do is bounded, and costs the node nothing to speak of.
            case kept
            /// They are dropped when they are faster than the node allows.
            case either
        }

        var fate: Fate {
            switch self {
            case .credit, .halfOpen: .kept
            case .openings, .rapid, .names, .crumbs, .deaf, .stingy: .either
            default: .dropped
            }
        }

        /// Whether it takes a time-out to be rid of it.
        var fills: Bool { [.partial, .dribble, .sip, .half, .halfOpen].contains(self) }
    }
}
