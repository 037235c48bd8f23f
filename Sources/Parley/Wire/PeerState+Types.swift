extension PeerState {
    /// What one connection may make this side keep.
    struct Bounds: Sendable {
        var maxMessageBytes = Int.max
        var readAheadBytes = PeerState.readAheadBytes
        /// Whether messages that the decoder found may still be too long: some wire forms see to it themselves.
        var isChecked = true

        /// What a wire form may put around a message.
        static let frameOverheadBytes = 64 * 1024
    }

    /// What the bytes that come next belong to, as far as that is known.
    enum Upcoming: Sendable {
        /// The handshake's reader takes them as they come.
        case raw
        /// Messages, and whatever is between them.
        case messages
        /// The stream's reader takes them as they come.
        case stream
        /// A large frame is on its way, and has a buffer to read into.
        case largeFrame
    }

    /// Pings and pongs that were found and not dealt with yet. Only the last of each matters.
    struct Heartbeats: DefaultInitializable {
        var ping: UInt64?
        var pong: UInt64?
        /// What they took of the input.
        var bytes = 0

        mutating func note(_ event: DecoderEvent, bytes: Int) {
            switch event {
            case .ping(let token): ping = token
            case .pong(let token): pong = token
            default: return
            }
            self.bytes &+= bytes
        }
    }
}
