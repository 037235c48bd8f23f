import FaultProxy
import Parley

/// The application of one connection: it sends numbered messages and streams, and checks and acknowledges
/// those of the other side.
final class Conversation: Sendable {
    let peer: any Peer
    let id: ConnectionID
    private let ledger: Ledger
    private let state: Lock<State>
    private let acknowledgements: AsyncStream<Envelope>
    private let acknowledge: AsyncStream<Envelope>.Continuation
    private let progress: AsyncStream<Void>
    private let progressed: AsyncStream<Void>.Continuation

    private struct State {
        var random: SeededGenerator
        var tasks: [Task<Void, Never>] = []
        var isOver = false
        /// Whether something wrong has arrived. What comes after it is ignored.
        var isWrong = false
        var isSending = true
        var sent: UInt64 = 0
        var acknowledged: UInt64 = 0
        var streamsSent: UInt64 = 0
        var requestsMade: UInt64 = 0
        /// The numbers of the requests that have come.
        var requestsReceived: Set<UInt64> = []
        var received: UInt64 = 0
        var lastProgress = ContinuousClock.now
    }

    /// How many messages may be unacknowledged.
    private static let window: UInt64 = 32
    /// How many tasks make requests.
    private static let askers = 3
    private static let largestMessageBytes = 16 << 10
    private static let patience = Duration.seconds(8)

    init(_ peer: any Peer, _ id: ConnectionID, _ ledger: Ledger, seed: UInt64) {
        self.peer = peer
        self.id = id
        self.ledger = ledger
        state = Lock(State(random: SeededGenerator(seed: seed)))
        (acknowledgements, acknowledge) = AsyncStream.makeStream()
        (progress, progressed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    private var ownHalf: UInt64 { id.half(ofDialer: peer.isOutbound) }
    private var otherHalf: UInt64 { id.half(ofDialer: !peer.isOutbound) }

    func start() {
        run { await $0.sendAcknowledgements() }
        run { await $0.sendMessages() }
        for _ in 0..<Self.askers { run { await $0.ask() } }
    }

    /// Sends nothing new. Acknowledgements are still sent.
    func drain() {
        state.withLock { $0.isSending = false }
        progressed.yield()
    }

    /// Whether every message that was sent is acknowledged.
    var isAcknowledged: Bool { state.withLock { $0.isOver || $0.sent == $0.acknowledged } }

    /// Closes the connection when the other side has not acknowledged anything for `patience`.
    func watch() {
        let isStuck = state.withLock { state in
            state.sent > state.acknowledged && state.lastProgress.duration(to: .now) > Self.patience
        }
        if isStuck { run { await $0.peer.close() } }
    }

    /// Ends the conversation after its connection.
    func end() {
        let tasks = state.withLock { state in
            state.isOver = true
            defer { state.tasks = [] }
            return state.tasks
        }
        acknowledge.finish()
        progressed.finish()
        for task in tasks { task.cancel() }
    }

    private func run(_ body: @escaping @Sendable (Conversation) async -> Void) {
        let task = Task { await body(self) }
        let isOver = state.withLock { state in
            if !state.isOver { state.tasks.append(task) }
            return state.isOver
        }
        if isOver { task.cancel() }
    }

    private func choose<Result>(_ body: (inout SeededGenerator) -> Result) -> Result {
        state.withLock { body(&$0.random) }
    }

    /// Notes that something wrong has arrived: a failure of the transport, unless the proxy corrupts bytes.
    private func wrong(_ what: String) {
        let isFirst = state.withLock { state in
            defer { state.isWrong = true }
            return !state.isWrong
        }
        guard isFirst else { return }
        if id.isCorruptible {
            ledger.count { $0.corruptionsNoticed += 1 }
        } else {
            ledger.fail("\(what), on a connection that nobody corrupts")
        }
        run { await $0.peer.close() }
    }
}

// MARK: - Sending

extension Conversation {
    private func sendAcknowledgements() async {
        for await envelope in acknowledgements {
            do { try await peer.send(message: envelope.encoded()) } catch { return }
        }
    }

    private func sendMessages() async {
        do {
            while state.withLock({ $0.isSending }), !Task.isCancelled {
                if state.withLock({ $0.sent - $0.acknowledged >= Self.window }) {
                    for await _ in progress { break }
                } else if choose({ $0.oneIn(60) }) {
                    try await sendStream()
                } else {
                    try await sendMessage()
                }
                if choose({ $0.oneIn(40) }) {
                    try await Task.sleep(for: .milliseconds(choose { Int.random(in: 1...20, using: &$0) }))
                }
            }
        } catch {}
    }

    private func sendMessage() async throws {
        let (offset, length) = choose {
            (Int.random(in: 0..<Content.offsets, using: &$0), $0.size(upTo: Self.largestMessageBytes))
        }
        let number = state.withLock { state in
            if state.sent == state.acknowledged { state.lastProgress = .now }
            state.sent += 1
            return state.sent
        }
        let envelope = Envelope(.data, ownHalf, number: number, part: offset..<offset + length)
        try await peer.send(message: envelope.encoded(payload: Content.part(at: offset, count: length)))
    }

    /// Sends a stream. One in ten is aborted half-way: its reader must not take it for whole.
    private func sendStream() async throws {
        let (offset, length, givesUp) = choose {
            (
                Int.random(in: 0..<Content.offsets, using: &$0), $0.size(upTo: Content.largestBytes),
                $0.oneIn(10)
            )
        }
        let number = state.withLock { state in
            state.streamsSent += 1
            return state.streamsSent
        }
        let header = Envelope(.stream, ownHalf, number: number, part: offset..<offset + length)
        let writer = try await peer.openStream(header: header.encoded()[...])
        var rest = givesUp ? length / 2 : length
        while rest > 0 {
            let piece = min(rest, choose { 1 + $0.size(upTo: 100_000) })
            try await writer.write(
                Content.part(at: offset + (givesUp ? length / 2 : length) - rest, count: piece)
            )
            rest -= piece
        }
        if givesUp { await writer.abort(reason: "on purpose") } else { try await writer.finish() }
    }
}

// MARK: - Asking

extension Conversation {
    /// Makes one request after the other, and checks the answers.
    private func ask() async {
        while state.withLock({ $0.isSending && !$0.isOver }), !Task.isCancelled {
            let (offset, length, timeout) = choose {
                // Now and then the answer comes too late.
                (
                    Int.random(in: 0..<Content.offsets, using: &$0), $0.size(upTo: Self.largestMessageBytes),
                    $0.oneIn(50) ? Duration.milliseconds(2) : .seconds(10)
                )
            }
            let number = state.withLock { state in
                state.requestsMade += 1
                return state.requestsMade
            }
            let request = Envelope(.request, ownHalf, number: number, part: offset..<offset + length)
            ledger.count { $0.requests += 1 }
            do {
                let answer = try await peer.request(
                    request.encoded(payload: Content.part(at: offset, count: length)),
                    timeout: timeout
                )
                ledger.count { $0.requestsAnswered += 1 }
                guard isAnswer(answer, to: request) else {
                    return wrong("the answer to request \(number) is another one's, or has changed")
                }
            } catch {
                ledger.count { $0.requestsFailed += 1 }
                guard error.code == .timedOut else { return }
            }
            if choose({ $0.oneIn(20) }) {
                try? await Task.sleep(for: .milliseconds(choose { Int.random(in: 0...20, using: &$0) }))
            }
        }
    }

    /// An answer has the bytes in front of those of the request.
    private func isAnswer(_ answer: ArraySlice<UInt8>, to request: Envelope) -> Bool {
        Envelope(answer) == Envelope(.answer, ownHalf, number: request.number)
            && Content.isPart(answer.dropFirst(Envelope.bytes), at: Int(request.offset))
            && answer.count == Envelope.bytes + Int(request.length)
    }
}

// MARK: - Receiving

extension Conversation {
    /// Takes the next RPC of this connection. The node calls it in order.
    func receive(_ rpc: RPC) {
        guard !state.withLock({ $0.isWrong }) else { return }
        guard let envelope = Envelope(rpc.payload) else { return wrong("bytes that nobody has sent") }
        let payload = rpc.payload.dropFirst(Envelope.bytes)
        switch (envelope.kind, rpc.stream) {
        case (.data, false) where envelope.half == otherHalf:
            guard payload.count == Int(envelope.length), Content.isPart(payload, at: Int(envelope.offset))
            else {
                return wrong("message \(envelope.number) has arrived changed")
            }
            let isNext = state.withLock { state in
                state.received += 1
                return state.received == envelope.number
            }
            guard isNext else { return wrong("message \(envelope.number) is not the next one") }
            ledger.enter(.delivered, otherHalf, envelope.number, bytes: payload.count)
            acknowledge.yield(Envelope(.acknowledgement, otherHalf, number: envelope.number))
        case (.acknowledgement, false) where envelope.half == ownHalf:
            let isNext = state.withLock { state in
                state.acknowledged += 1
                state.lastProgress = .now
                return state.acknowledged == envelope.number && envelope.number <= state.sent
            }
            guard isNext else { return wrong("acknowledgement \(envelope.number) is not the next one") }
            ledger.enter(.acknowledged, ownHalf, envelope.number)
            progressed.yield()
        case (.request, false) where envelope.half == otherHalf && rpc.request != nil:
            guard payload.count == Int(envelope.length), Content.isPart(payload, at: Int(envelope.offset))
            else {
                return wrong("request \(envelope.number) has arrived changed")
            }
            guard state.withLock({ $0.requestsReceived.insert(envelope.number).inserted }) else {
                return wrong("request \(envelope.number) has come twice")
            }
            let answer = Envelope(.answer, otherHalf, number: envelope.number).encoded(payload: payload)
            run { _ in try? await rpc.reply(with: answer) }
        case (.stream, true) where envelope.half == otherHalf:
            guard let body = rpc.body else { return wrong("a stream without a body") }
            ledger.count { $0.streamsOpened += 1 }
            run { await $0.read(envelope, from: body) }
        case (.streamAcknowledgement, false) where envelope.half == ownHalf:
            ledger.enter(.streamAcknowledged, ownHalf, envelope.number)
        default:
            wrong("a message of the kind \(envelope.kind) out of its place")
        }
    }

    /// Reads a stream to its end or its error. One in ten is closed early.
    private func read(_ header: Envelope, from body: PeerStream) async {
        let length = Int(header.length)
        let mostBytes = choose { $0.oneIn(10) ? Int.random(in: 0...length, using: &$0) : Int.max }
        var received = 0
        do {
            while received < mostBytes {
                let piece = choose { 1 + $0.size(upTo: 100_000) }
                guard let bytes = try await body.read(upTo: piece) else { break }
                guard Content.isPart(bytes, at: Int(header.offset) + received) else {
                    ledger.streamEnded(.broken)
                    return wrong("stream \(header.number) has arrived changed")
                }
                received += bytes.count
            }
            if received >= mostBytes {
                ledger.streamEnded(.abandoned)
            } else if received == length {
                ledger.streamEnded(.whole)
                ledger.enter(.streamWhole, otherHalf, header.number, bytes: received)
                acknowledge.yield(Envelope(.streamAcknowledgement, otherHalf, number: header.number))
            } else {
                ledger.streamEnded(.broken)
                wrong("stream \(header.number) has ended after \(received) of \(length) bytes")
            }
            body.close()
        } catch {
            ledger.streamEnded(.broken)
            body.close()
        }
    }
}
