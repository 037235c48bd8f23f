/// The side of a negotiation that proposes: who dialed a connection, or opened a stream.
///
/// The shell writes what ``begin(into:)`` appends, then feeds ``receive(_:into:)`` with what arrives and
/// writes what that appends, until it returns an outcome. What is left of the input then belongs to the
/// protocol.
///
/// With one proposal the shell need not wait: bytes of the protocol may follow what ``begin(into:)`` appended
/// at once, and the negotiation costs no round trip. When the outcome is `unsupported`, the other side has
/// taken them for further lines, so the stream is then aborted. With several proposals nothing else may be
/// written before the outcome.
///
/// Drop the value after its outcome: it is of no use then, and an idle stream should be small.
struct NegotiationDialer: Sendable {
    enum Outcome: Sendable, Equatable {
        /// More has to arrive.
        case incomplete
        /// Both sides agree on this name.
        case chosen(String)
        /// The other side speaks none of the proposals.
        case unsupported
    }

    private let proposals: [String]
    /// The proposal that waits for its answer.
    private var current = 0
    private var hasHeader = false
    private var reader = MultistreamReader()

    /// - Parameter proposals: the names, the best one first: at least one, and each a valid one
    ///   (``Multistream/isName(_:)``).
    init(_ proposals: [String]) {
        precondition(!proposals.isEmpty && proposals.allSatisfy(Multistream.isName), "invalid proposals")
        self.proposals = proposals
    }

    /// Whether bytes of the protocol may be written before the outcome.
    var mayWriteAhead: Bool { proposals.count == 1 }

    /// Appends the header and the first proposal.
    func begin(into output: inout WireBuffer) {
        Multistream.write(Multistream.header, into: &output)
        Multistream.write(proposals[0], into: &output)
    }

    /// Takes the other side's answers from the front of `input`, and appends further proposals. Leaves what
    /// is behind the negotiation. Not to be called after an outcome.
    ///
    /// - Throws: `protocolViolation`. The stream, or the connection, then ends.
    mutating func receive(
        _ input: inout ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) -> Outcome {
        while let line = try reader.next(&input) {
            guard hasHeader else {
                try reader.checkHeader(line)
                hasHeader = true
                continue
            }
            if line.elementsEqual(proposals[current].utf8) { return .chosen(proposals[current]) }
            guard line.elementsEqual(Multistream.notAvailable.utf8) else {
                let answer = String(printable: line.prefix(64))
                throw reader.violation("the answer \"\(answer)\" to \(proposals[current])")
            }
            current += 1
            guard current < proposals.count else { return .unsupported }
            Multistream.write(proposals[current], into: &output)
        }
        return .incomplete
    }
}
