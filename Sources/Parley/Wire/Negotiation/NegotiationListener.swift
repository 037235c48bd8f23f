/// The side of a negotiation that answers: who accepted a connection, or got a stream.
///
/// The shell feeds ``receive(_:isSupported:into:)`` with what arrives and writes what that appends, until it
/// returns a name. What is left of the input then belongs to the protocol. The header is written when the
/// other side's has arrived, together with the answer if the proposal came with it.
///
/// The shell bounds the time that a negotiation may take, as for a handshake.
struct NegotiationListener: Sendable {
    private var hasHeader = false
    /// How many proposals were answered `na`.
    private(set) var refused = 0
    private var reader = MultistreamReader()

    /// Takes the other side's lines from the front of `input` and appends the answers. Leaves what is behind
    /// the negotiation. Not to be called after a name was returned.
    ///
    /// - Parameter isSupported: whether this side speaks a protocol.
    /// - Returns: the name that both sides agree on; nil when more has to arrive.
    /// - Throws: `protocolViolation`. The stream, or the connection, then ends.
    mutating func receive(
        _ input: inout ArraySlice<UInt8>,
        isSupported: (String) -> Bool,
        into output: inout WireBuffer
    ) throws(ParleyError) -> String? {
        while let line = try reader.next(&input) {
            guard hasHeader else {
                try reader.checkHeader(line)
                hasHeader = true
                Multistream.write(Multistream.header, into: &output)
                continue
            }
            if let name = String(validating: line, as: UTF8.self), Multistream.isName(name),
                isSupported(name)
            {
                Multistream.write(name, into: &output)
                return name
            }
            refused += 1
            guard refused < Multistream.maxProposals else {
                throw reader.violation("\(refused) proposals, none of which this side speaks")
            }
            Multistream.write(Multistream.notAvailable, into: &output)
        }
        return nil
    }
}
