import FaultProxy
import Foundation
import Gauges
import Parley
import ParleyNoise

/// Requests by the million through a proxy that splits, delays, cuts and resets: 64 callers on one peer, in
/// both wire forms that have requests, while the other side answers out of order, refuses, is late, or stays
/// silent. Each call must end once, with its own answer or an error that fits, and none may be left.
enum Questions {
    private static let callers = 64
    /// What comes again and again, by the number of a request.
    private static let (refused, late, silent) = (101, 1_009, 2_003)
    /// How long a caller waits for an answer that does not come in time.
    private static let patience = Duration.milliseconds(20)
    private static let longPatience = Duration.seconds(60)

    static func run(_ arguments: Arguments) async throws -> Bool {
        let total = arguments.number("questions", 1_000_000)
        let seed = arguments.number("seed", UInt64.random(in: 0..<1_000_000))
        say("questions: seed \(seed)")
        var verdict = Verdict()
        for (name, form, isSecured) in [
            ("framed", WireForm.framed, false), ("multiplexed, secured", WireForm.multiplexed, true),
        ] {
            let line = try await Line(form, isSecured: isSecured, seed: seed)
            let started = ContinuousClock.now
            let clock = Task {
                try await Task.sleep(for: .seconds(600))
                say("FAILED: after 600 s calls have not ended; \(line.counts.summary)")
                exit(1)
            }
            await line.ask(total / 2)
            clock.cancel()
            say("questions, \(name): \(Int(seconds(since: started))) s; \(line.counts.summary)")
            await line.judge(total / 2, &verdict)
        }
        return verdict.isGood
    }

    /// What the other side does with a request.
    private enum Fate {
        case answered, refused, late, silent

        init(_ number: Int) {
            self =
                number % Questions.silent == 0
                ? .silent
                : number % Questions.late == 0
                    ? .late : number % Questions.refused == 0 ? .refused : .answered
        }
    }

    private struct Counts {
        var answered = 0
        var refused = 0
        var timedOut = 0
        /// Those that a broken connection ended, by the error.
        var broken: [ParleyError.Code: Int] = [:]
        var failures: [String] = []
        var lateAnswers: UInt64 = 0
        var dials = 0

        var ended: Int { answered + refused + timedOut + broken.values.reduce(0, +) }

        var summary: String {
            let errors = broken.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }
            return "\(answered) answered, \(refused) refused, \(timedOut) timed out, \(lateAnswers) answers "
                + "late, ended by \(dials - 1) breaks: \(errors.joined(separator: ", "))"
        }
    }

    /// Two nodes, and the proxy between them.
    private final class Line: Sendable {
        private let server: TCPTransport
        private let client: TCPTransport
        private let proxy: FaultProxy
        private let connecting = Connecting()
        private let seen = Lock(Set<Int>())
        private let state = Lock(Counts())

        var counts: Counts { state.withLock { $0 } }

        init(_ form: WireForm, isSecured: Bool, seed: UInt64) async throws {
            var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: form)
            if isSecured { options.security = .noise(Identity()) }
            server = TCPTransport(options)
            if isSecured { options.security = .noise(Identity()) }
            let state = state
            options.onDisconnect = { peer, _ in
                let late = peer.statistics.traffic.lateAnswers
                state.withLock { $0.lateAnswers += late }
            }
            client = TCPTransport(options)
            try await server.listenAndAccept()
            var plan = FaultPlan.splitting(seed: seed)
            plan.meanBytes = [.merge: 100_000, .delay: 1_000_000, .cut: 500_000, .reset: 500_000]
            proxy = FaultProxy(to: try SocketAddress(server.address).port, plan)
        }

        // MARK: The other side

        private func answer() async {
            for await rpcs in server.consume().batches {
                for rpc in rpcs.shuffled() {
                    guard let number = Questions.number(of: rpc.payload), rpc.request != nil else { continue }
                    let isNew = seen.withLock { $0.insert(number).inserted }
                    if !isNew { state.withLock { $0.failures.append("request \(number) came twice") } }
                    // The connection may be gone by now: the caller hears of that.
                    switch Fate(number) {
                    case .answered: try? await rpc.reply(with: Questions.answer(to: rpc.payload))
                    case .refused: try? await rpc.refuse(code: UInt32(number), reason: "as agreed")
                    case .late:
                        Task {
                            try await Task.sleep(for: patience * 2)
                            try await rpc.reply(with: Questions.answer(to: rpc.payload))
                        }
                    case .silent: break
                    }
                }
            }
        }

        // MARK: This side

        func ask(_ total: Int) async {
            let answering = Task { await answer() }
            let next = Lock(0)
            await withTaskGroup { group in
                for caller in 0..<callers {
                    group.addTask { [self] in
                        var random = SeededGenerator(seed: UInt64(caller))
                        while let number = Self.take(next, total) {
                            guard let (peer, dial) = await peer() else { return }
                            if await ask(peer, number, byteCount: 8 + random.size(upTo: 300)) { continue }
                            await connecting.isGone(dial)
                        }
                    }
                }
            }
            await client.close()
            await server.close()
            await answering.value
            proxy.close()
        }

        private static func take(_ next: Lock<Int>, _ total: Int) -> Int? {
            next.withLock { next in
                guard next < total else { return nil }
                next += 1
                return next
            }
        }

        /// The peer that all callers share. The proxy also breaks handshakes.
        private func peer() async -> (any Peer, Int)? {
            await connecting.peer { [self] in
                for _ in 0..<1_000 {
                    state.withLock { $0.dials += 1 }
                    if let peer = try? await client.dial("127.0.0.1:\(proxy.port)") { return peer }
                }
                state.withLock { $0.failures.append("the other side cannot be dialed") }
                return nil
            }
        }

        /// Returns whether the connection still stands.
        private func ask(_ peer: any Peer, _ number: Int, byteCount: Int) async -> Bool {
            let fate = Fate(number)
            let isInTime = fate == .answered || fate == .refused
            let question = Questions.question(number, byteCount)
            do {
                let answer = try await peer.request(question, timeout: isInTime ? longPatience : patience)
                state.withLock { counts in
                    counts.answered += 1
                    // On a busy machine the answer may be there before the clock is looked at.
                    if fate == .refused || fate == .silent {
                        counts.failures.append("\(number), which is \(fate), was answered")
                    }
                    if answer[...] != Questions.answer(to: question[...])[...] {
                        counts.failures.append("the answer to \(number) is another one's")
                    }
                }
                return true
            } catch {
                let isBroken = state.withLock { counts in
                    switch (error.code, fate) {
                    case (.requestRefused, .refused) where error.remoteCode == UInt32(number):
                        counts.refused += 1
                    case (.timedOut, .late), (.timedOut, .silent): counts.timedOut += 1
                    case (.requestRefused, _), (.timedOut, _):
                        counts.failures.append("\(number), which is \(fate): \(error)")
                    default:
                        counts.broken[error.code, default: 0] += 1
                        return true
                    }
                    return false
                }
                // Only the end of the connection ends a call in another way, and with its own error.
                if isBroken, await end(of: peer)?.code != error.code {
                    state.withLock {
                        $0.failures.append("\(number), and the connection has not ended so: \(error)")
                    }
                }
                return !isBroken
            }
        }

        /// Why the connection has ended; nil when it stands.
        private func end(of peer: any Peer) async -> ParleyError? {
            let waiting = Task { try? await peer.untilClosed() }
            let clock = Task {
                try await Task.sleep(for: longPatience)
                waiting.cancel()
            }
            defer { clock.cancel() }
            return await waiting.value
        }

        // MARK: Judgement

        func judge(_ total: Int, _ verdict: inout Verdict) async {
            let counts = counts
            for failure in counts.failures.prefix(10) { say("  \(failure)") }
            verdict.check(
                counts.failures.isEmpty,
                "\(counts.failures.count) calls ended otherwise than they should"
            )
            verdict.check(counts.ended == total, "\(counts.ended) of \(total) calls ended, each once")
            let came = seen.withLock { $0.count }
            verdict.check(
                came >= counts.answered + counts.refused,
                "\(came) requests came, each once, and \(counts.answered + counts.refused) were answered"
            )
            verdict.check(
                counts.answered > total / 2 && counts.refused > 0 && counts.timedOut > 0
                    && counts.dials > 1,
                "each way to end was among them"
            )
        }
    }

    /// One peer for all callers, dialed anew when it is gone.
    private actor Connecting {
        private var dialing: (number: Int, task: Task<(any Peer)?, Never>)?
        private var dials = 0

        /// The peer, and the number of its dial.
        func peer(_ dial: @escaping @Sendable () async -> (any Peer)?) async -> (any Peer, Int)? {
            if dialing == nil {
                dials += 1
                dialing = (dials, Task { await dial() })
            }
            guard let (number, task) = dialing, let peer = await task.value else { return nil }
            return (peer, number)
        }

        func isGone(_ number: Int) {
            if dialing?.number == number { dialing = nil }
        }
    }

    // MARK: Bytes

    private static func question(_ number: Int, _ byteCount: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
            + (8..<max(8, byteCount)).map { UInt8(truncatingIfNeeded: $0 &+ number) }
    }

    private static func number(of question: ArraySlice<UInt8>) -> Int? {
        question.count < 8 ? nil : Int(question.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }

    /// The question from behind.
    private static func answer(to question: ArraySlice<UInt8>) -> [UInt8] { question.reversed() }
}
