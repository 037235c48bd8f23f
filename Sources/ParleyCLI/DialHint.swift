import Parley

/// What may be the matter when a node that was dialed does not answer as it should. Nodes do not say why they
/// close a connection.
enum DialHint {
    /// - Parameters:
    ///   - code: of the error that the connection or the stream has ended with.
    ///   - hasHeard: whether the node has sent anything that was understood.
    ///   - uptime: how long the connection has lasted. Whoever refuses does so before ``refusalTime``.
    ///   - ownID: this node's; nil with `--plain`.
    ///   - command: what should answer there; nil when it may be any node.
    /// - Returns: what follows behind the error; empty when nothing is known that would help.
    static func text(
        after code: ParleyError.Code,
        hasHeard: Bool,
        uptime: Duration,
        ownID: PeerID?,
        wanting command: Command?
    ) -> String {
        guard !hasHeard else { return "" }
        switch code {
        // How a connection ends that the other side has refused.
        case .endOfStream, .connectionReset, .truncated, .closed:
            guard uptime < refusalTime else { return "" }
            guard let ownID else { return "; perhaps it has an identity, then leave out --plain" }
            // A node with another wire form closes the connection, too, and what dials hears no more of it.
            let other = command == .serve ? "is no parley serve" : "speaks another --codec"
            return "; perhaps it \(other), or does not let this node in, "
                + "which --allow \(ownID) would do there"
        case .protocolViolation, .unsupported, .handshakeFailed:
            return command.map { "; is it parley \($0)?" } ?? ""
        default: return ""
        }
    }

    /// A node refuses within this time: a person there may be asked first, and the refusal has to arrive.
    static let refusalTime = Newcomers.answerTime + .seconds(5)

    /// The commands that others dial with a purpose.
    enum Command { case receive, serve }

    /// The same for a node that listens: what may be the matter with one that came and did not prove an id.
    static func text(afterComing code: ParleyError.Code) -> String {
        let plain = "; if it has no identity, it needs --plain here"
        switch code {
        case .endOfStream, .connectionReset: return "; perhaps it expects another id here" + plain
        default: return plain
        }
    }
}
