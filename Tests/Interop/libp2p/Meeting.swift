import ForeignProcess
import Parley
import ParleyNoise

/// Parley and a foreign node that are connected.
struct Meeting: Sendable {
    let parley: TCPTransport
    let id: PeerID
    let peer: any Peer
    let foreign: ForeignNode
    /// Why connections with the foreign node have ended.
    let ends: AsyncStream<ParleyError>

    /// - Parameter foreignDials: which side dials.
    init(_ maker: Maker, foreignDials: Bool) async throws {
        let identity = Identity()
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .libp2p)
        options.security = .noise(identity)
        options.handshakeTimeout = .seconds(60)
        let (arrivals, arrived) = AsyncStream<any Peer>.makeStream()
        let (ends, ended) = AsyncStream<ParleyError>.makeStream()
        options.onPeer = { arrived.yield($0) }
        options.onDisconnect = { _, reason in ended.yield(reason) }
        let parley = TCPTransport(options)
        try parley.accept("/echo/1.0.0") { stream in
            for try await bytes in stream.chunks() { try await stream.write(bytes) }
            try await stream.finish()
        }
        try parley.accept("/count/1.0.0") { stream in
            var count = 0
            for try await bytes in stream.chunks() { count += bytes.count }
            try await stream.write(Array("\(count)".utf8)[...])
            try await stream.finish()
        }
        try parley.accept("/reset/1.0.0") { stream in
            _ = try await stream.read(upTo: 1)
            stream.abort(code: 5)
        }
        try parley.accept("/silent/1.0.0") { stream in for try await _ in stream.chunks() {} }
        try await parley.listenAndAccept()
        let foreign = try ForeignNode(maker)
        if foreignDials {
            let port = try SocketAddress(parley.address).port
            try foreign.told("dial /ip4/127.0.0.1/tcp/\(port)/p2p/\(identity.id)")
        } else {
            try await parley.dial(foreign.address)
            try foreign.told("meet \(identity.id)")
        }
        var peers = arrivals.makeAsyncIterator()
        guard let peer = await peers.next() else { throw Failure("no peer arrived") }
        let found = peer.id?.description ?? "nobody"
        try check(found == foreign.id, "\(foreign.id) arrived as \(found)")
        self.parley = parley
        self.id = identity.id
        self.peer = peer
        self.foreign = foreign
        self.ends = ends
    }

    func end() async {
        await parley.close()
        foreign.kill()
    }
}

/// The same in commands.py.
func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 / 251) } }

extension PeerStream {
    /// Everything up to the end.
    func rest() async throws -> [UInt8] {
        var all: [UInt8] = []
        for try await bytes in chunks() { all += bytes }
        return all
    }
}

extension Peer {
    /// Sends bytes to a protocol, ends this side, and returns what comes back.
    func exchange(_ bytes: [UInt8], _ name: String) async throws -> [UInt8] {
        let stream = try await openStream(protocol: name)
        async let writing: Void = {
            try await stream.write(bytes[...])
            try await stream.finish()
        }()
        let answer = try await stream.rest()
        try await writing
        return answer
    }
}
