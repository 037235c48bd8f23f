/// The sending end of a stream; see ``Peer/openStream(header:)``.
public protocol StreamWriter: AnyObject, Sendable {
    /// Sends bytes of the stream; suspends as ``Peer/send(_:)-(ArraySlice<UInt8>)`` does.
    ///
    /// More than 1 MiB is accepted in pieces, each when there is room for it; in multiplexed and libp2p any
    /// write may be. When the task is cancelled or the write times out after a part was accepted, the stream
    /// is aborted.
    func write(_ bytes: ArraySlice<UInt8>) async throws(ParleyError)

    /// Ends the stream; messages that wait behind it are sent. Does nothing when the stream has ended. Throws
    /// `streamAborted` when a write had failed after a part of it.
    ///
    /// Wire forms with raw streams do not send the end: its reader has to know the length. A writer that is
    /// released without `finish` aborts the stream in wire forms that have an abort.
    func finish() async throws(ParleyError)

    /// Aborts the stream: the other side's next read throws `streamAborted` with this code and reason. Does
    /// nothing when the stream has ended.
    ///
    /// In wire forms without an abort the connection is closed instead: what was accepted is written out, for
    /// at most ``TransportOptions/closeTimeout``, and then the connection is reset. What has arrived and is
    /// not in the inbox is dropped, as by ``Peer/close()``.
    func abort(code: UInt32, reason: String) async
}

extension StreamWriter {
    /// Sends bytes of the stream; see ``write(_:)-(ArraySlice<UInt8>)``.
    public func write(_ bytes: [UInt8]) async throws(ParleyError) { try await write(bytes[...]) }

    /// Aborts the stream with the code 0; see ``abort(code:reason:)``.
    public func abort(reason: String) async { await abort(code: 0, reason: reason) }
}
