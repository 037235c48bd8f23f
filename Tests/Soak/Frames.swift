import FaultProxy
import Gauges
import Parley

/// Framed messages of random sizes from 0 to 64 KiB, and some streams, through a proxy that splits and merges
/// segments at random. Every byte must arrive in order.
enum Frames {
    private static let maxBytes = 65_536
    private static let messagesPerStream = 1_000
    /// The bytes of which every message is a part.
    private static let pattern: [UInt8] = {
        var state: UInt64 = 1
        return (0..<3 * maxBytes).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
    }()

    /// The message with this number. Its size is uniform in the logarithm: small ones are as frequent as
    /// large ones.
    private static func message(_ number: Int) -> ArraySlice<UInt8> {
        var state = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
        state = (state ^ state >> 31) &* 0xBF58_476D_1CE4_E5B9
        state ^= state >> 29
        let bits = Int(state % 17)
        let size = Int(state >> 8) & ((1 << bits) - 1) | (bits > 0 ? 1 << (bits - 1) : 0)
        let offset = Int(state >> 40) % maxBytes
        return pattern[offset..<offset + min(size, maxBytes)]
    }

    static func run(count: Int) async throws -> Bool {
        let server = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed))
        try await server.listenAndAccept()
        let proxy = FaultProxy(to: try SocketAddress(server.address).port, .splitting(seed: 20_240_607))
        let client = TCPTransport(TransportOptions(decoder: .framed))
        let peer = try await client.dial("127.0.0.1:\(proxy.port)")
        let started = ContinuousClock.now
        let sending = Task { try await send(count, to: peer) }
        let (received, bytes) = try await receive(count, from: server)
        try await sending.value
        await client.close()
        await server.close()
        say("frames: \(received) messages, \(mebibytes(bytes)) in \(seconds(since: started)) s")
        return Soak.verdict(received == count, "\(received) of \(count) messages whole and in order")
    }

    private static func send(_ count: Int, to peer: any Peer) async throws {
        for number in 0..<count {
            try await peer.send(message: message(number))
            guard number % messagesPerStream == 0 else { continue }
            try await peer.withStream { writer in
                for part in 0..<10 { try await writer.write(message(number + part)) }
            }
        }
        await peer.close()
    }

    /// Takes messages and streams until all have arrived, or until one is not what was sent.
    private static func receive(_ count: Int, from server: TCPTransport) async throws -> (
        messages: Int, bytes: Int
    ) {
        var number = 0
        var bytes = 0
        var iterator = server.consume().makeAsyncIterator()
        while let rpc = await iterator.next() {
            guard rpc.payload == message(number) else { return (number, bytes) }
            bytes += rpc.payload.count
            if number % messagesPerStream == 0 {
                guard let stream = await iterator.next(), stream.stream else { return (number, bytes) }
                let expected = Array((0..<10).map { message(number + $0) }.joined())
                var received: [UInt8] = []
                for try await chunk in stream.peer.chunks() { received += chunk }
                stream.peer.closeStream()
                guard received == expected else { return (number, bytes) }
                bytes += received.count
            }
            number += 1
            if number == count { break }
        }
        return (number, bytes)
    }
}
