import FaultProxy
import Gauges
import Parley
import ParleyNoise

/// Two secured nodes dial each other at once, again and again, and send meanwhile. Both must keep the same
/// one connection, the one that the smaller id has dialed, and no message that was sent on it may be missing.
///
/// What was sent on the connection that goes is not promised to arrive: the other side may never have opened
/// it. It is counted and printed.
enum Duplicates {
    private static let messages = 20
    /// After so many tries the nodes have new ids.
    private static let triesPerPair = 50
    private static let patience = Duration.seconds(60)

    static func run(_ arguments: Arguments) async throws -> Bool {
        let tries = arguments.number("tries", 1_000)
        var random = SeededGenerator(seed: arguments.number("seed", UInt64.random(in: 0..<1_000_000)))
        let started = ContinuousClock.now
        var (totals, failures) = (Totals(), [String]())
        var made = 0
        while made < tries, failures.count < 10 {
            let pair = try await Pair()
            for _ in 0..<min(triesPerPair, tries - made) {
                made += 1
                if let failure = await pair.meet(made, &random, &totals) {
                    failures.append("try \(made): \(failure)")
                }
            }
            await pair.close()
        }
        for failure in failures { say("  \(failure)") }
        say(
            "duplicates: \(made) tries in \(Int(seconds(since: started))) s; \(totals.duplicates) dials or "
                + "connections lost to another one; \(totals.kept) messages on the connections that stayed; "
                + "\(totals.left) on those that went, of which \(totals.lost) did not arrive"
        )
        return Soak.verdict(
            failures.isEmpty && totals.duplicates > 0,
            "both nodes kept the same one connection, and all messages on it arrived "
                + "(\(failures.count) of \(made) tries failed)"
        )
    }

    private struct Totals {
        var duplicates = 0
        var kept = 0
        var left = 0
        var lost = 0
    }

    /// One of the two nodes.
    private final class Node: Sendable {
        let id: PeerID
        let transport: TCPTransport
        private let state: Lock<State>

        struct State {
            /// What has arrived, with the side that dialed the connection.
            var received: Set<Message> = []
            var ends: [ParleyError.Code: Int] = [:]
        }

        init() async throws {
            let (identity, seen) = (Identity(), Lock(State()))
            state = seen
            id = identity.id
            var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
            options.security = .noise(identity)
            options.duplicates = .smallerDials(identity.id)
            options.handshakeTimeout = patience
            options.onDisconnect = { _, reason in seen.withLock { $0.ends[reason.code, default: 0] += 1 } }
            transport = TCPTransport(options)
            try await transport.listenAndAccept()
            Task { [transport] in
                for await rpc in transport.consume() {
                    guard let number = Int(String(decoding: rpc.payload, as: UTF8.self)) else { continue }
                    let message = Message(number: number, isReceiversDial: rpc.peer.isOutbound)
                    seen.withLock { _ = $0.received.insert(message) }
                }
            }
        }

        var received: Set<Message> { state.withLock { $0.received } }
        var duplicates: Int { state.withLock { $0.ends[.duplicate, default: 0] } }
        func forget() { state.withLock { $0 = State() } }

        /// Sends messages to the peer with that id, over whichever connection there is.
        func send(to other: PeerID, _ numbers: Range<Int>) async -> [Message] {
            var sent: [Message] = []
            let deadline = ContinuousClock.now + patience
            for number in numbers {
                while ContinuousClock.now < deadline {
                    if let peer = transport.peer(other), (try? await peer.send(message: "\(number)")) != nil {
                        sent.append(Message(number: number, isReceiversDial: !peer.isOutbound))
                        break
                    }
                    try? await Task.sleep(for: .microseconds(50))
                }
            }
            return sent
        }
    }

    private struct Message: Hashable {
        var number: Int
        /// Whether it went over the connection that its receiver has dialed.
        var isReceiversDial: Bool
    }

    private final class Pair: Sendable {
        private let one: Node
        private let other: Node

        init() async throws { (one, other) = (try await Node(), try await Node()) }

        func close() async {
            await one.transport.close()
            await other.transport.close()
        }

        /// Lets both dial at once.
        ///
        /// - Returns: what went wrong.
        func meet(_ number: Int, _ random: inout SeededGenerator, _ totals: inout Totals) async -> String? {
            let numbers = (number * messages)..<((number + 1) * messages)
            let head = Duration.microseconds(random.size(upTo: 2_000))
            let isOneLate = random.oneIn(2)
            async let dialed = Self.dial(one, other, after: isOneLate ? head : .zero)
            async let dialedBack = Self.dial(other, one, after: isOneLate ? .zero : head)
            async let sent = one.send(to: other.id, numbers)
            async let sentBack = other.send(to: one.id, numbers)
            let (failures, both) = await ([dialed, dialedBack], (sent, sentBack))
            if let failure = failures.compactMap({ $0 }).first { return failure }
            guard await eventually({ isSettled() }) else {
                return "there are \(one.transport.peers.count) and \(other.transport.peers.count) peers"
            }
            // The smaller id has dialed the one that stays.
            let isOnes = "\(one.id)" < "\(other.id)"
            guard one.transport.peers.first?.isOutbound == isOnes else {
                return "the connection that the larger id has dialed stays"
            }
            let missing = { [self] in
                both.0.filter { !other.received.contains($0) } + both.1.filter { !one.received.contains($0) }
            }
            func isKept(_ message: Message, from sender: Node) -> Bool {
                message.isReceiversDial == (isOnes != (sender === one))
            }
            let (kept, keptBack) = (
                both.0.filter { isKept($0, from: one) }, both.1.filter { isKept($0, from: other) }
            )
            let arrived = await eventually {
                other.received.isSuperset(of: kept) && one.received.isSuperset(of: keptBack)
            }
            totals.duplicates += one.duplicates + other.duplicates
            totals.kept += kept.count + keptBack.count
            totals.left += both.0.count + both.1.count - kept.count - keptBack.count
            totals.lost += missing().count
            let isWhole = both.0.count == messages && both.1.count == messages
            await part()
            guard isWhole else { return "not every message could be sent" }
            return arrived ? nil : "a message is missing on the connection that stays"
        }

        private static func dial(_ dialer: Node, _ other: Node, after head: Duration) async -> String? {
            try? await Task.sleep(for: head)
            do { _ = try await dialer.transport.dial("\(other.id)@\(other.transport.address)") } catch {
                if (error as? ParleyError)?.code != .duplicate { return "a dial failed: \(error)" }
            }
            return nil
        }

        /// Whether both have one connection, and it is the same.
        private func isSettled() -> Bool {
            let (peers, others) = (one.transport.peers, other.transport.peers)
            guard peers.count == 1, others.count == 1, one.transport.statistics.handshaking == 0,
                other.transport.statistics.handshaking == 0
            else { return false }
            return peers[0].isOutbound != others[0].isOutbound
                && peers[0].localAddress == others[0].remoteAddress
        }

        /// Ends what is left.
        private func part() async {
            for node in [one, other] { for peer in node.transport.peers { await peer.close() } }
            _ = await eventually { one.transport.peers.isEmpty && other.transport.peers.isEmpty }
            one.forget()
            other.forget()
        }

        private func eventually(_ isSo: () -> Bool) async -> Bool {
            let deadline = ContinuousClock.now + patience
            while !isSo() {
                guard ContinuousClock.now < deadline else { return false }
                try? await Task.sleep(for: .microseconds(200))
            }
            return true
        }
    }
}
