import Gauges
import Parley

/// One message of 64 MiB. The receiver must need only one buffer of its size, without a second one for
/// reassembly.
enum LargeMessage {
    private static let messageBytes = 64 << 20
    private static let limitBytes = messageBytes + (4 << 20)
    private static let form = WireForm.framed(maxMessageBytes: messageBytes)

    static func send(to address: String) async throws -> Bool {
        let transport = TCPTransport(TransportOptions(decoder: form))
        let peer = try await transport.dial(address)
        try await peer.send(message: "first, to be warm")
        try await peer.send(message: [UInt8](repeating: 0x5a, count: messageBytes))
        await transport.close()
        return true
    }

    static func receive() async throws -> Bool {
        let transport = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0", decoder: form))
        try await transport.listenAndAccept()
        let sender = try Soak.other("large-message", transport.address)
        var rpcs = transport.consume().makeAsyncIterator()
        guard await rpcs.next() != nil else { return false }
        let idle = ProcessGauges()!.residentBytes
        guard let message = await rpcs.next() else { return false }
        let peak = ProcessGauges()!.peakBytes
        say(
            "large message: \(mebibytes(message.payload.count)), "
                + "idle \(mebibytes(idle)), peak \(mebibytes(peak))"
        )
        let isWhole = message.payload.count == messageBytes && message.payload.allSatisfy { $0 == 0x5a }
        sender.waitUntilExit()
        await transport.close()
        return Soak.verdict(
            isWhole && peak - idle < limitBytes,
            "\(mebibytes(peak - idle)) above idle, the limit is \(mebibytes(limitBytes))"
        )
    }
}
