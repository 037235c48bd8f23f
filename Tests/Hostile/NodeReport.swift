import Gauges
import Parley

/// What a node in another process is asked.
enum NodeOrder: String, Codable, Sendable {
    case report
}

/// What it answers: how it is, and first of all where it listens.
struct NodeReport: Codable, Sendable {
    var port: UInt16
    var handshaking = 0
    var peers = 0
    /// Connections that others made, and those of them that are over.
    var accepted = 0
    var ended = 0
    /// Bytes that have arrived and wait for a consumer or a reader, as its statistics have it.
    var keptBytes = 0
    var heapBytes = 0
    var peakBytes = 0

    init(port: UInt16) {
        self.port = port
        heapBytes = ProcessGauges.heapBytes
        peakBytes = ProcessGauges()!.peakBytes
    }
}
