import ForeignProcess
import Parley
import ParleyNoise

/// What is tried with a foreign node that is connected, whoever has dialed.
let cases: [(name: String, body: @Sendable (Meeting) async throws -> Void)] = [
    ("Parley pings it 1,000 times", { for _ in 0..<1_000 { try await $0.peer.ping() } }),
    ("it pings Parley 1,000 times", { try $0.foreign.told("ping 1000") }),
    ("it says who it is", identified),
    ("Parley says who it is, and says so anew", identifies),
    ("Parley sends 1 B to 16 MiB, and they come back", echoesAnswered),
    ("it sends 1 B to 16 MiB, and they come back", echoesAsked),
    ("Parley has 100 streams at once", manyAnswered),
    ("it has 100 streams at once", { try $0.foreign.told("many 100 100000") }),
    ("Parley ends its side, and is answered behind that", halfCloseAnswered),
    ("it ends its side, and is answered behind that", { try $0.foreign.told("count 100000") }),
    ("it reads answers in small pieces, behind their end", { try $0.foreign.told("pieces 3 200000") }),
    ("it resets a stream", resetHeard),
    ("Parley resets a stream", { try $0.foreign.told("reset") }),
    ("Parley proposes a protocol that it does not speak", wrongProtocol),
    ("it proposes a protocol that Parley does not speak", { try $0.foreign.told("wrong") }),
    ("messages are refused, streams go on", messagesRefused),
]

/// Parley has asked by itself; here it asks once more.
@Sendable private func identified(_ meeting: Meeting) async throws {
    let said = try await meeting.peer.identify()
    try check(said == meeting.peer.identification, "it says \(said), and that is not kept")
    try check(said.id?.description == meeting.foreign.id, "it says that it is \(said.id?.description ?? "-")")
    try check(said.protocols.contains("/echo/1.0.0"), "it speaks \(said.protocols)")
    try check(!said.agentVersion.isEmpty && said.observedAddress != nil, "it says \(said)")
    let port = "/tcp/\(meeting.foreign.port)"
    try check(said.listenAddresses.contains { "\($0)".contains(port) }, "it is at \(said.listenAddresses)")
}

/// The foreign node knows Parley's protocols, and hears of a new one.
@Sendable private func identifies(_ meeting: Meeting) async throws {
    // Skipped where it does not show what others speak.
    try meeting.foreign.told("identified")
    try check(try await meeting.foreign.knows("/echo/1.0.0"), "it has not heard of Parley's protocols")
    try meeting.parley.accept("/new/1.0.0") { _ in }
    try check(try await meeting.foreign.knows("/new/1.0.0"), "it has not heard of a new protocol")
}

extension ForeignNode {
    /// Asks until it knows a protocol of Parley's, for at most 60 s.
    fileprivate func knows(_ name: String) async throws -> Bool {
        let end = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < end {
            if try told("identified").contains(name) { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }
}

private let sizes = [1, 100, 65_535, 65_536, 1 << 20, 16 << 20]

@Sendable private func echoesAnswered(_ meeting: Meeting) async throws {
    for size in sizes {
        let sent = pattern(size)
        let answer = try await meeting.peer.exchange(sent, "/echo/1.0.0")
        try check(answer == sent, "\(answer.count) of \(size) bytes came back, or others")
    }
}

@Sendable private func echoesAsked(_ meeting: Meeting) async throws {
    for size in sizes { try meeting.foreign.told("echo \(size)") }
}

@Sendable private func manyAnswered(_ meeting: Meeting) async throws {
    let sent = pattern(100_000)
    try await withThrowingTaskGroup { group in
        for number in 0..<100 {
            // By default go-libp2p takes 64 streams of one protocol from a peer.
            let name = number < 50 ? "/echo/1.0.0" : "/echo/2.0.0"
            group.addTask {
                let answer = try await meeting.peer.exchange(sent, name)
                try check(answer == sent, "\(answer.count) bytes came back, or others")
            }
        }
        try await group.waitForAll()
    }
}

/// 500 times: where a reader can see the end before the last bytes, about one exchange in fifty shows it.
@Sendable private func halfCloseAnswered(_ meeting: Meeting) async throws {
    let sent = pattern(100_000)
    for _ in 0..<500 {
        let answer = try await meeting.peer.exchange(sent, "/count/1.0.0")
        try check(answer == Array("100000".utf8), "the answer is \(String(decoding: answer, as: UTF8.self))")
    }
}

@Sendable private func resetHeard(_ meeting: Meeting) async throws {
    guard meeting.foreign.canReset else { throw Skipped("it cannot reset a stream") }
    let stream = try await meeting.peer.openStream(protocol: "/reset/1.0.0")
    try await stream.write([1])
    let code = await code { _ = try await stream.read(upTo: 1) }
    try check(code == .streamAborted, "a read threw \(code?.description ?? "nothing")")
}

@Sendable private func wrongProtocol(_ meeting: Meeting) async throws {
    let stream = try await meeting.peer.openStream(protocol: "/nothing/1.0.0")
    let code = await code { _ = try await stream.read(upTo: 1) }
    try check(code == .unsupported, "a read threw \(code?.description ?? "nothing")")
}

/// The first message finds out that it is no Parley node; later ones throw.
@Sendable private func messagesRefused(_ meeting: Meeting) async throws {
    var refused: ParleyError.Code?
    for _ in 0..<1_000 where refused == nil {
        refused = await code { try await meeting.peer.send(message: [1, 2, 3]) }
        // An exchange on a stream: the answer to the message comes before its end.
        try check(try await meeting.peer.exchange([1], "/echo/1.0.0") == [1], "a stream failed")
    }
    try check(refused == .unsupported, "messages threw \(refused?.description ?? "nothing")")
}

func code(_ body: () async throws -> Void) async -> ParleyError.Code? {
    do {
        try await body()
        return nil
    } catch { return (error as? ParleyError)?.code ?? .system }
}

// MARK: - Cases that end the connection, or have none

/// Parley dials the foreign node by another id than it has.
func wrongIDDialed(_ maker: Maker) async throws {
    var options = TransportOptions(decoder: .libp2p)
    options.security = .noise(Identity())
    let parley = TCPTransport(options)
    let foreign = try ForeignNode(maker)
    defer { foreign.kill() }
    let code = await code { try await parley.dial("\(Identity().id)@127.0.0.1:\(foreign.port)") }
    await parley.close()
    try check(code == .identityMismatch, "the dial threw \(code?.description ?? "nothing")")
}

/// The foreign node dials Parley by another id than it has.
func wrongIDAnswered(_ maker: Maker) async throws {
    var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .libp2p)
    options.security = .noise(Identity())
    let parley = TCPTransport(options)
    try await parley.listenAndAccept()
    let foreign = try ForeignNode(maker)
    defer { foreign.kill() }
    let port = try SocketAddress(parley.address).port
    do {
        try foreign.told("dial /ip4/127.0.0.1/tcp/\(port)/p2p/\(Identity().id)")
    } catch {
        return await parley.close()
    }
    throw Failure("it took Parley for another node")
}

/// The foreign node is killed while both sides send.
func killed(_ meeting: Meeting) async throws {
    let stream = try await meeting.peer.openStream(protocol: "/silent/1.0.0")
    async let writing = code { while true { try await stream.write(pattern(65_536)[...]) } }
    let reading = try await meeting.peer.openStream(protocol: "/echo/1.0.0")
    try await reading.write([1])
    _ = try await reading.read(exactly: 1)
    meeting.foreign.kill()
    let code = await code { _ = try await reading.read(upTo: 1) }
    try check(code != nil, "a read returned the end of a stream that was cut off")
    try check(await writing != nil, "writes go on")
    var ends = meeting.ends.makeAsyncIterator()
    guard let reason = await ends.next() else { throw Failure("no end is reported") }
    try check(meeting.parley.peers.isEmpty, "the peer is still there after \(reason)")
}
