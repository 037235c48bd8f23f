import FaultProxy
import Parley

/// A client node of the churn run, with many connections: each exchanges messages for a while, ends, and is
/// dialed again.
final class ChurnClient: Sendable {
    let transport: TCPTransport
    private let address: String
    private let totals: Churn.Totals
    private let answers = Lock<[ObjectIdentifier: AsyncStream<ArraySlice<UInt8>>.Continuation]>([:])
    private let consuming = Lock<Task<Void, Never>?>(nil)

    private static let largestMessageBytes = 16 << 10
    private static let block = [UInt8](repeating: 0x5a, count: 1 << 18)

    init(_ transport: TCPTransport, _ address: String, _ totals: Churn.Totals) {
        self.transport = transport
        self.address = address
        self.totals = totals
        let task = Task { [answers] in
            for await rpc in transport.consume() {
                let answer = answers.withLock { $0[ObjectIdentifier(rpc.peer)] }
                answer?.yield(rpc.payload)
            }
            let rest = answers.withLock { $0 }
            for answer in rest.values { answer.finish() }
        }
        consuming.withLock { $0 = task }
    }

    func close() async {
        await transport.close()
        await consuming.withLock { $0 }?.value
    }

    /// Dials one connection after the other until the run is over.
    func keepDialing(_ number: Int) async {
        var random = SeededGenerator(seed: 7, number)
        while !totals.now.isOver {
            do {
                let peer = try await transport.dial(address)
                totals.count {
                    $0.connections += 1
                    $0.current += 1
                }
                await exchange(peer, &random)
                totals.count { $0.current -= 1 }
                await peer.close()
            } catch {
                totals.count { $0.failures.append("a dial failed: \(error)") }
            }
        }
    }

    /// Sends messages and streams and checks the answers. Returns after a random number of them, or when the
    /// server closes the connection.
    private func exchange(_ peer: any Peer, _ random: inout SeededGenerator) async {
        let key = ObjectIdentifier(peer)
        let (stream, continuation) = AsyncStream<ArraySlice<UInt8>>.makeStream()
        answers.withLock { $0[key] = continuation }
        defer { answers.withLock { $0[key] = nil } }
        var incoming = stream.makeAsyncIterator()
        // A read returns at the end of the connection: it tells when the server closes it.
        let watching = Task {
            _ = try? await peer.read(upTo: 1)
            continuation.finish()
        }
        defer { watching.cancel() }
        for _ in 0..<Int.random(in: 1...60, using: &random) where !totals.now.isOver {
            let isStream = random.oneIn(10)
            let size = random.size(upTo: isStream ? Self.block.count : Self.largestMessageBytes)
            let bytes = Self.block.prefix(size)
            do {
                if isStream {
                    try await peer.withStream { try await $0.write(bytes) }
                } else {
                    try await peer.send(message: bytes)
                }
            } catch { return }
            guard let answer = await incoming.next() else { return }
            let expected = isStream ? ArraySlice("\(size)".utf8) : bytes
            totals.count {
                if isStream { $0.streams += 1 } else { $0.messages += 1 }
                $0.bytes += size
                if answer != expected {
                    $0.failures.append("\(answer.count) bytes came back, \(expected.count) were expected")
                }
            }
            try? await Task.sleep(for: .milliseconds(Int.random(in: 10...200, using: &random)))
        }
    }
}
