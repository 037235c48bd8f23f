import Foundation

/// What the attacker is told to do.
struct AttackOrder: Codable, Sendable {
    var behaviours: [Campaign.Behaviour]
    /// The node's.
    var port: UInt16
    /// How many connections the behaviours that count them make.
    var connections: Int
    /// Nil lasts until ``Stop``.
    var seconds: Double?
    /// The private key of an identity that the node does not allow; nil of a node without security.
    var unwanted: [UInt8]?

    /// Ends an attack before its time.
    struct Stop: Codable, Sendable {}
}

/// What came of it.
struct AttackReport: Codable, Sendable {
    var seconds = 0.0
    /// Connections that were begun.
    var made = 0
    /// Of those, the ones that the node ended.
    var dropped = 0
    /// Of those, the ones that came to nothing.
    var failed = 0
    /// Those that were open at the end.
    var held = 0
    var sentBytes = 0
    /// Connections to a secured node that it has answered with a message of the handshake.
    var answered = 0

    var summary: String {
        let perSecond = Int(Double(made) / max(seconds, 0.001))
        return "\(String(format: "%.1f", seconds)) s, \(made) connections (\(perSecond) per s), "
            + "\(held) open at the end, \(dropped) ended by the server, \(failed) not made, "
            + "\(sentBytes >> 20) MiB sent"
    }
}
