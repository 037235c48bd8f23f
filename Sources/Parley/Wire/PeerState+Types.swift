extension PeerState {
    /// What one connection may keep on this side. A class, because all connections of a node share it.
    final class Bounds: Sendable {
        let maxMessageBytes: Int
        let readAheadBytes: Int
        /// Whether the lengths of decoded messages have to be checked: some wire forms check them themselves.
        let isChecked: Bool

        init(
            maxMessageBytes: Int = .max,
            readAheadBytes: Int = PeerState.readAheadBytes,
            isChecked: Bool = true
        ) {
            self.maxMessageBytes = maxMessageBytes
            self.readAheadBytes = readAheadBytes
            self.isChecked = isChecked
        }

        /// How many bytes a wire form may put around a message.
        static let frameOverheadBytes = 64 * 1024
    }

    /// What the next bytes belong to, as far as that is known.
    enum Upcoming: Sendable {
        /// The handshake reads them raw.
        case raw
        /// Messages, and whatever is between them.
        case messages
        /// The stream's reader reads them.
        case stream
        /// A large frame, which has a buffer to read into.
        case largeFrame
    }

    /// Decoded pings and pongs that are not handled yet. Only the last of each matters.
    struct Heartbeats: DefaultInitializable {
        var ping: UInt64?
        var pong: UInt64?
        /// How many bytes of the input they took.
        var bytes = 0

        /// The token of a pong that answers no ping.
        static let noPing: UInt64 = 0

        mutating func note(_ event: DecoderEvent, bytes: Int) {
            switch event {
            case .ping(let token): ping = token
            // A pong that answers no ping must not hide one that does.
            case .pong(let token): if token != Self.noPing || pong == nil { pong = token }
            default: return
            }
            self.bytes &+= bytes
        }
    }
}
