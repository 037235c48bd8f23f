import Foundation
import ParleyNoise
import Testing

@testable import Parley

/// The transports that must behave the same.
enum Kind: String, CaseIterable, CustomTestStringConvertible {
    case tcp, memory
    /// TCP with several event loops that busy-poll.
    case loops
    /// The same roads with secured links.
    case secured, securedMemory
    /// The same with many streams on each connection, where a test uses the framed wire form.
    case multiplexed, securedMultiplexed
    /// The same as libp2p nodes do it.
    case libp2p

    /// For tests of connections that the other side does not read: a secured link waits for its answer.
    static let plain: [Kind] = [.tcp, .memory, .loops]

    /// The roads of most tests.
    static let allCases: [Kind] = [.tcp, .memory, .loops, .secured, .securedMemory]

    static let multiplexing: [Kind] = [.multiplexed, .securedMultiplexed, .libp2p]
    /// For what must be the same whether or not a connection has many streams.
    static let everyRoad = allCases + [.multiplexed, .securedMultiplexed]

    /// The number of event loops of each transport.
    var loops: Int { self == .loops ? 3 : 1 }
    var isSecured: Bool { self == .secured || self == .securedMemory || Self.onBoth.contains(self) }
    var isMultiplexed: Bool { Self.multiplexing.contains(self) }
    private static let onBoth: [Kind] = [.securedMultiplexed, .libp2p]
    var testDescription: String { rawValue }
}

/// The nodes of one test. They are closed at the end of the test, and must leave no thread and no handle.
final class Nodes: Sendable {
    private let kind: Kind
    private let form: WireForm
    private let network = InMemoryNetwork()
    private let made = Lock<[any Transport]>([])

    init(_ kind: Kind, _ form: WireForm = TransportOptions().decoder) {
        self.kind = kind
        self.form = form
    }

    func make(_ change: (inout TransportOptions) -> Void = { _ in }) -> any Transport {
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: form)
        // All tests share two cores, perhaps under a sanitizer: a handshake may be slow.
        options.handshakeTimeout = .seconds(60)
        // The same goes for a peer that has still to read what was sent. Where it never does, a test says so.
        options.timeouts.close = .seconds(60)
        if kind.isSecured { options.security = .noise(Identity()) }
        change(&options)
        if kind.isMultiplexed, options.decoder.makeDecoder().other == nil {
            let most = options.decoder.maxMessageBytes
            options.decoder =
                kind == .libp2p ? .libp2p(maxMessageBytes: most) : .multiplexed(maxMessageBytes: most)
        }
        let transport: any Transport =
            switch kind {
            case .tcp, .secured, .securedMultiplexed, .libp2p: TCPTransport(options)
            case .memory, .securedMemory, .multiplexed: InMemoryTransport(options, network: network)
            case .loops: TCPTransport(options.spread(over: kind.loops))
            }
        made.withLock { $0.append(transport) }
        return transport
    }

    func listening(_ change: (inout TransportOptions) -> Void = { _ in }) async throws -> any Transport {
        let transport = make(change)
        try await transport.listenAndAccept()
        return transport
    }

    /// A listening node of the framed wire form that reports why its peers end.
    func listening(
        _ ends: Events<ParleyError>,
        _ change: (inout TransportOptions) -> Void = { _ in }
    ) async throws -> any Transport {
        try await listening {
            $0.decoder = .framed
            $0.onDisconnect = { _, reason in ends.add(reason) }
            change(&$0)
        }
    }

    fileprivate func close() async {
        let transports = made.withLock { $0 }
        for transport in transports { await transport.close() }
        for transport in transports {
            for loop in transport.eventLoops {
                #expect(loop.hasEndedCleanly == true, "a thread or a handle is left")
            }
            #expect(transport.peers.isEmpty)
        }
    }
}

extension TransportOptions {
    /// Returns these options with several loops that busy-poll.
    func spread(over loops: Int) -> TransportOptions {
        var options = self
        options.loops = loops
        options.busyPoll = .microseconds(50)
        return options
    }
}

extension Transport {
    var eventLoop: EventLoop { eventLoops[0] }

    var eventLoops: [EventLoop] { itsNode.contexts.map(\.loop) }

    var itsNode: Node { (self as! any NodeTransport).node }

    /// Waits for the next RPC; fails the test when there is none.
    func nextRPC() async throws -> RPC {
        var iterator = consume().makeAsyncIterator()
        return try #require(await iterator.next())
    }
}

extension RPC {
    var text: String { String(decoding: payload, as: UTF8.self) }
}

/// Runs a test with nodes of one kind and wire form, closes them, and checks that nothing of them is left.
func withNodes(
    _ kind: Kind,
    _ form: WireForm = TransportOptions().decoder,
    _ body: (Nodes) async throws -> Void
) async throws {
    let nodes = Nodes(kind, form)
    do {
        try await body(nodes)
    } catch {
        await nodes.close()
        throw error
    }
    await nodes.close()
}

/// The same with a server and a connected client with the framed wire form.
func withFrames(
    _ kind: Kind,
    _ body: (_ server: any Transport, _ client: any Transport, _ peer: any Peer) async throws -> Void
) async throws {
    try await withNodes(kind) { nodes in
        let server = try await nodes.listening { $0.decoder = .framed }
        let client = nodes.make { $0.decoder = .framed }
        try await body(server, client, client.dial(server.address))
    }
}

/// The events of a test, in order; a test can await the next one.
final class Events<Event: Sendable>: Sendable {
    private let stream: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    private let all = Lock<[Event]>([])

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func add(_ event: Event) {
        all.withLock { $0.append(event) }
        continuation.yield(event)
    }

    func next() async throws -> Event {
        var iterator = stream.makeAsyncIterator()
        return try #require(await iterator.next())
    }

    var soFar: [Event] { all.withLock { $0 } }
}

/// The error that `body` throws; fails the test when it throws none.
func error(_ body: () async throws -> Void) async throws -> ParleyError {
    let thrown = await #expect(throws: ParleyError.self) { try await body() }
    return try #require(thrown)
}

/// Polls until a condition holds that no event announces.
func eventually(_ condition: () async -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(120)
    while await !condition() {
        try #require(ContinuousClock.now < deadline, "it did not happen within 120 s")
        try await Task.sleep(for: .milliseconds(1))
    }
}

/// Waits until so many bytes have come from the other side, and a reader has taken them and waits for more.
func untilReaderWaits(of connection: Connection, after bytes: UInt64) async throws {
    try await eventually {
        let statistics = connection.statistics
        return statistics.traffic.bytesReceived == bytes && statistics.unreadBytes == 0
            && connection.inbound.withLock { $0.readWaiters.count } == 1
    }
}

/// Lets two nodes dial each other at once. Returns when one of their connections has ended and the other is
/// open on both sides.
func dialEachOther(_ a: any Transport, _ b: any Transport) async throws {
    async let fromA = try? a.dial(b.address)
    async let fromB = try? b.dial(a.address)
    _ = await (fromA, fromB)
    // The one that stays may still be in its handshake when the other has ended.
    try await eventually {
        a.statistics.disconnects.values.reduce(0, +) == 1
            && b.statistics.disconnects.values.reduce(0, +) == 1
            && a.statistics.peers == 1 && b.statistics.peers == 1
    }
}

/// Whether both hold the same bytes. It is much faster than `==` in unoptimised code, above all under a
/// sanitizer.
func same(_ one: some Collection<UInt8>, _ other: some Collection<UInt8>) -> Bool {
    Array(one).withUnsafeBytes { one in
        Array(other).withUnsafeBytes { other in
            one.count == other.count
                && (one.isEmpty || memcmp(one.baseAddress!, other.baseAddress!, one.count) == 0)
        }
    }
}

/// The bytes of all parts. `joined()` would take them one by one, which debug builds are slow at.
func joined(_ parts: some Sequence<some Collection<UInt8>>) -> [UInt8] {
    parts.reduce(into: []) { $0.append(contentsOf: $1) }
}

/// The same test bytes in every call.
func patterned(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    var rest = pattern[Int(seed &* 7_919 % UInt64(pattern.count))...]
    while bytes.count < count {
        bytes.append(contentsOf: rest.prefix(count - bytes.count))
        rest = pattern[...]
    }
    return bytes
}

/// The repeated bytes. Their number is prime, so that they do not repeat in step with any block size.
private let pattern: [UInt8] = {
    var state: UInt64 = 1
    return (0..<65_521).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
    }
}()

extension Inbox {
    /// Takes the next RPC as `for await` does.
    func next() async -> RPC? {
        var iterator = RPCSequence(self).makeAsyncIterator()
        return await iterator.next()
    }

    /// Takes the next batch as `for await` does.
    func nextBatch() async -> RPCBatch? {
        var iterator = RPCSequence(self).batches.makeAsyncIterator()
        return await iterator.next()
    }
}
