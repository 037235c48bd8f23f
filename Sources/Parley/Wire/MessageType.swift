/// The first byte of every frame in the reference's wire form.
public enum MessageType: UInt8, Sendable {
    /// A message follows.
    case message = 0x1
    /// Raw stream bytes follow, until the receiver calls ``Peer/closeStream()``.
    case stream = 0x2
}
