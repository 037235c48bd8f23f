import Gauges
import Parley

/// Sends 1 GiB to a receiver in another process that reads slowly. The receiver's memory must not rise:
/// unread bytes must stay in the sender and the kernel.
enum SlowReader {
    private static let totalBytes = 1 << 30
    private static let limitBytes = 32 << 20
    /// The receiver is slower than any sender: it reads one chunk, then pauses.
    private static let chunkBytes = 256 * 1024
    private static let pause = Duration.milliseconds(1)

    static func send(to address: String) async throws -> Bool {
        let transport = TCPTransport(TransportOptions(decoder: .unframed))
        let block = [UInt8](repeating: 0x5a, count: chunkBytes)
        try await transport.dial(address).withStream { writer in
            for _ in 0..<totalBytes / chunkBytes { try await writer.write(block) }
        }
        await transport.close()
        return true
    }

    static func receive() async throws -> Bool {
        let transport = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0", decoder: .unframed))
        try await transport.listenAndAccept()
        let sender = try Soak.other("slow-reader", transport.address)
        var rpcs = transport.consume().makeAsyncIterator()
        guard let stream = await rpcs.next() else { return false }
        let idle = ProcessGauges()!.residentBytes
        let started = ContinuousClock.now
        for try await _ in stream.peer.chunks(byteCount: totalBytes, chunkBytes: chunkBytes) {
            try await Task.sleep(for: pause)
        }
        let peak = ProcessGauges()!.peakBytes
        say("slow reader: \(mebibytes(totalBytes)) in \(seconds(since: started)) s")
        say("idle \(mebibytes(idle)), peak \(mebibytes(peak))")
        stream.peer.closeStream()
        sender.waitUntilExit()
        await transport.close()
        return Soak.verdict(
            peak - idle < limitBytes && sender.terminationStatus == 0,
            "\(mebibytes(peak - idle)) above idle, the limit is \(mebibytes(limitBytes))"
        )
    }
}
