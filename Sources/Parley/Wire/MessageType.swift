/// The type byte of the unframed wire form, the reference's; see ``DefaultDecoder``.
public enum MessageType: UInt8, Sendable {
    /// A message follows.
    case message = 0x1
    /// Raw stream bytes follow, until the receiver calls ``Peer/closeStream()``.
    case stream = 0x2
}
