// The names that code on the pages uses without saying where they come from. scripts/snippets.py compiles
// each piece of code on a page beside this file, as a program's code: only public API.
import Logging
import Parley
import ParleyNoise

nonisolated(unsafe) var options = TransportOptions()
let transport = TCPTransport()
let logger = Logger(label: "example")
var peer: any Peer { fatalError("compiled, never run") }
var other: any Peer { fatalError("compiled, never run") }
var rpc: RPC { fatalError("compiled, never run") }
let path = ""
let news: [UInt8] = []
let identity = Identity()
let friends: [PeerID] = []
let directory = Directory()

func handle(_ rpc: RPC) {}
func name(of rpc: RPC) -> String { "" }
func newPath() -> String { "" }
func answer(to question: Question) -> Order { Order(item: "", count: 0) }

/// The name of each peer.
final class NameTable: Sendable {
    func set(_ name: String, of peer: any Peer) {}
    func name(of peer: any Peer) -> String? { nil }
}

/// A list of known nodes that is elsewhere.
struct Directory: Sendable {
    func knows(_ id: PeerID) async -> Bool { false }
}

struct Session {
    mutating func handle(_ rpc: RPC) {}
}

struct Question: Codable {}

struct Order: Codable {
    var item: String
    var count: Int
}

struct Upload: Codable {
    var name: String
}
