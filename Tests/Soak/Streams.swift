import FaultProxy
import Gauges
import Parley
import ParleyNoise

/// Streams that are opened and ended by the hundred thousand over a few secured connections, a thousand in
/// turn on each, beside messages and requests. Memory and descriptors must stay level, everything must come
/// back unchanged, and no stream may be left.
enum Streams {
    private static let connections = 4
    /// How many streams of a connection are open at a time.
    private static let atOnce = 16
    /// Streams that end one after the other, before everything is looked at.
    private static let inTurn = 1_000
    private static let name = "/soak/echo/1"
    private static let block = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
        for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: index &* 31) }
        count = buffer.count
    }
    /// The share of the run that is not measured, while memory reaches its level.
    private static let warmUp = 0.25

    /// How a stream is used, and how it ends.
    private enum Use: CaseIterable {
        /// Everything comes back, and both sides end.
        case echoed
        /// This side closes before it has read everything.
        case closed
        /// This side resets it in the middle.
        case aborted
        /// Nobody refers to it any more.
        case released
        /// Its opening is an RPC, and its length comes back.
        case announced
        /// Nobody takes the name.
        case refused
    }

    private struct Counts {
        var streams = 0
        var messages = 0
        var requests = 0
        var failures: [String] = []
        var resident = Trend()
        var descriptors = Trend()
    }

    static func run(_ arguments: Arguments) async throws -> Bool {
        let total = arguments.number("streams", 100_000)
        let started = ContinuousClock.now
        let counts = Lock(Counts())
        let server = TCPTransport(options())
        try server.accept(name) { stream in
            for try await bytes in stream.chunks() { try await stream.write(bytes) }
            try await stream.finish()
        }
        try await server.listenAndAccept()
        let serving = Task { await serve(server) }
        let client = TCPTransport(options())
        let receiving = Task { await receive(client, counts) }
        var peers: [any Peer] = []
        for _ in 0..<connections { peers.append(try await client.dial(server.address)) }
        await withTaskGroup { group in
            for (number, peer) in peers.enumerated() {
                group.addTask { await exercise(peer, number, total / connections, counts) }
            }
        }
        let left = await streamsLeft(client, server)
        let traffic = server.peers.reduce(0) { $0 + $1.statistics.traffic.streamsReceived }
        await client.close()
        await server.close()
        await receiving.value
        await serving.value
        say("streams: \(Int(seconds(since: started))) s, \(traffic) arrived")
        return judge(counts.withLock { $0 }, total, left: left)
    }

    private static func options() -> TransportOptions {
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .multiplexed)
        options.security = .noise(Identity())
        return options
    }

    /// Waits until no stream is open, for 60 s at most. Returns how many are.
    private static func streamsLeft(_ transports: TCPTransport...) async -> Int {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let open = transports.flatMap(\.peers).reduce(0) { $0 + $1.statistics.openStreams }
            guard open > 0, ContinuousClock.now < deadline else { return open }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    // MARK: The other side

    /// Sends messages back, answers requests, and tells the length of streams with a header.
    private static func serve(_ server: TCPTransport) async {
        for await rpc in server.consume() {
            // A send to a stream or a peer that is gone is no failure here: the client knows what it wants.
            if let body = rpc.body {
                Task { try await tellLength(of: body) }
            } else if rpc.request != nil {
                try? await rpc.reply(with: rpc.payload)
            } else {
                try? await rpc.peer.send(message: rpc.payload)
            }
        }
    }

    private static func tellLength(of body: PeerStream) async throws {
        var count = 0
        for try await bytes in body.chunks() { count += bytes.count }
        try await body.peer.send(message: "\(count)")
        body.close()
    }

    // MARK: This side

    private static func receive(_ client: TCPTransport, _ counts: Lock<Counts>) async {
        for await _ in client.consume() { counts.withLock { $0.messages += 1 } }
    }

    /// Uses so many streams, several at a time, with messages and requests beside them.
    private static func exercise(
        _ peer: any Peer,
        _ number: Int,
        _ total: Int,
        _ counts: Lock<Counts>
    ) async {
        let beside = Task {
            while !Task.isCancelled {
                do { try await converse(peer, counts) } catch {
                    if !Task.isCancelled { counts.withLock { $0.failures.append("beside: \(error)") } }
                }
            }
        }
        for turn in 0..<max(1, total / inTurn) {
            await withTaskGroup { group in
                for lane in 0..<atOnce {
                    group.addTask {
                        var random = SeededGenerator(seed: UInt64(turn), number * atOnce + lane)
                        for _ in 0..<inTurn / atOnce { await useStream(peer, &random, counts) }
                    }
                }
            }
            guard number == 0, Double(turn) >= Double(total / inTurn) * warmUp else { continue }
            let gauges = ProcessGauges()!
            counts.withLock { counts in
                counts.resident.add(gauges.residentBytes, at: Double(turn))
                counts.descriptors.add(gauges.descriptors, at: Double(turn))
            }
        }
        beside.cancel()
        await beside.value
    }

    private static func converse(_ peer: any Peer, _ counts: Lock<Counts>) async throws {
        try await peer.send(message: block.prefix(1_000))
        let answer = try await peer.request(block.prefix(2_000), timeout: .seconds(30))
        counts.withLock { counts in
            counts.requests += 1
            if answer != block.prefix(2_000) { counts.failures.append("an answer is another one's") }
        }
        try await Task.sleep(for: .milliseconds(5))
    }

    private static func useStream(
        _ peer: any Peer,
        _ random: inout SeededGenerator,
        _ counts: Lock<Counts>
    ) async {
        let use = random.oneIn(2) ? Use.echoed : Use.allCases[Int.random(in: 0..<6, using: &random)]
        let bytes = block.prefix(random.size(upTo: block.count))
        do {
            let failure = try await useStream(peer, use, bytes)
            counts.withLock { counts in
                counts.streams += 1
                if let failure { counts.failures.append("\(use): \(failure)") }
            }
        } catch { counts.withLock { $0.failures.append("\(use): \(error)") } }
    }

    /// Returns what was wrong.
    private static func useStream(
        _ peer: any Peer,
        _ use: Use,
        _ bytes: ArraySlice<UInt8>
    ) async throws -> String? {
        switch use {
        case .announced:
            try await peer.withStream(header: bytes.prefix(100)) { try await $0.write(bytes) }
            return nil
        case .refused:
            let stream = try await peer.openStream(protocol: "/soak/nobody/1")
            do {
                _ = try await stream.read(upTo: 1)
                return "a name that nobody takes was taken"
            } catch { return error.code == .unsupported ? nil : "\(error)" }
        case .echoed, .closed, .aborted, .released: break
        }
        let stream = try await peer.openStream(protocol: name)
        try await stream.write(bytes)
        switch use {
        case .closed: stream.close()
        case .aborted: stream.abort(code: 7)
        case .echoed:
            try await stream.finish()
            var heard: [UInt8] = []
            for try await part in stream.chunks() { heard += part }
            return heard[...] == bytes ? nil : "\(heard.count) of \(bytes.count) bytes came back"
        case .released, .announced, .refused: break
        }
        return nil
    }

    // MARK: Judgement

    private static func judge(_ counts: Counts, _ total: Int, left: Int) -> Bool {
        var verdict = Verdict()
        for failure in counts.failures.prefix(10) { say("  \(failure)") }
        say(
            "streams: \(counts.streams) streams, \(counts.messages) messages, \(counts.requests) requests; "
                + "resident \(mebibytes(Int(counts.resident.mean))), "
                + "peak \(mebibytes(ProcessGauges()!.peakBytes))"
        )
        verdict.check(
            counts.failures.isEmpty && counts.streams >= total * 9 / 10 && counts.messages > 0
                && counts.requests > 0,
            "\(counts.streams) of \(total) streams ended as they should, and everything beside them"
        )
        verdict.check(left == 0, "\(left) streams are left")
        verdict.check(
            counts.resident.rise < max(8 * 1_048_576, counts.resident.mean * 0.05),
            "resident memory rose by \(mebibytes(Int(counts.resident.rise)))"
        )
        verdict.check(
            abs(counts.descriptors.rise) < 1,
            "descriptors rose by \(Int(counts.descriptors.rise)) of \(Int(counts.descriptors.mean))"
        )
        return verdict.isGood
    }
}
