import Foundation
import Parley
import ParleyCodable
import Testing

@Suite("Values as messages and headers", .timeLimit(.minutes(10)))
struct ParleyCodableTests {
    private struct Order: Codable, Hashable {
        var item: String
        var count: Int
        var due: Date?
    }

    /// Property lists, as an application may use them.
    private struct PropertyLists: ValueCoder {
        func encode(_ value: some Encodable) throws -> [UInt8] {
            let encoder = PropertyListEncoder()
            encoder.outputFormat = .binary
            return Array(try encoder.encode(value))
        }

        func decode<Value: Decodable>(_ type: Value.Type, from bytes: ArraySlice<UInt8>) throws -> Value {
            try PropertyListDecoder().decode(type, from: Data(bytes))
        }
    }

    private func withPeer(
        _ body: (_ server: InMemoryTransport, _ peer: any Peer) async throws -> Void
    ) async throws {
        let network = InMemoryNetwork()
        let options = TransportOptions(listenAddress: ":3000", decoder: .framed)
        let server = InMemoryTransport(options, network: network)
        let client = InMemoryTransport(options, network: network)
        try await server.listenAndAccept()
        let result: Result<Void, any Error>
        do {
            try await body(server, client.dial(":3000"))
            result = .success(())
        } catch { result = .failure(error) }
        await client.close()
        await server.close()
        try result.get()
    }

    private func next(_ transport: some Transport) async throws -> RPC {
        var rpcs = transport.consume().makeAsyncIterator()
        return try #require(await rpcs.next())
    }

    @Test func `values are asked and answered`() async throws {
        try await withPeer { server, peer in
            let (order, more) = (Order(item: "a", count: 1), Order(item: "b", count: 2))
            async let answer: [Order] = peer.request(value: order)
            let asked = try await next(server)
            #expect(asked.request != nil)
            #expect(try asked.decode(Order.self) == order)
            try await asked.reply(value: [order, more])
            #expect(try await answer == [order, more])

            let wrong = Task {
                try await peer.request(value: order, for: [Order].self, as: PropertyLists())
            }
            let again = try await next(server)
            #expect(try again.decode(Order.self, as: PropertyLists()) == order)
            let error = #expect(throws: ParleyError.self) { try again.decode([Order].self) }
            #expect(error?.message.hasPrefix("a request of") == true)
            try await again.reply(with: "no list")
            let refusal = await #expect(throws: ParleyError.self) { _ = try await wrong.value }
            #expect(refusal?.code == .protocolViolation)
            #expect(refusal?.message.hasPrefix("an answer of 7 bytes from \(peer.remoteAddress)") == true)
        }
    }

    @Test func `values are sent as messages and decoded`() async throws {
        try await withPeer { server, peer in
            let order = Order(item: "Öl", count: 3, due: Date(timeIntervalSinceReferenceDate: 1.5))
            try await peer.send(value: order)
            #expect(try await next(server).decode(Order.self) == order)
            #expect(try peer.trySend(value: [order, order]))
            let orders: [Order] = try await next(server).decode()
            #expect(orders == [order, order])

            try await peer.send(value: order, as: PropertyLists())
            let rpc = try await next(server)
            #expect(rpc.payload.starts(with: Array("bplist".utf8)))
            #expect(try rpc.decode(Order.self, as: PropertyLists()) == order)
        }
    }

    @Test func `JSON can be configured`() async throws {
        try await withPeer { server, peer in
            let coder = JSONCoder {
                $0.dateEncodingStrategy = .iso8601
                $0.outputFormatting = .sortedKeys
            } decoder: {
                $0.dateDecodingStrategy = .iso8601
            }
            let order = Order(item: "a", count: 1, due: Date(timeIntervalSince1970: 0))
            try await peer.send(value: order, as: coder)
            let rpc = try await next(server)
            let text = String(decoding: rpc.payload, as: UTF8.self)
            #expect(text == #"{"count":1,"due":"1970-01-01T00:00:00Z","item":"a"}"#)
            #expect(try rpc.decode(Order.self, as: coder) == order)
        }
    }

    @Test func `a stream's header is a value`() async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString)").path
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await withPeer { server, peer in
            let order = Order(item: "file", count: 1)
            #expect(try await peer.sendStream(contentsOf: path, headerValue: order, offset: 1) == 2)
            try await peer.withStream(headerValue: order) { try await $0.write([4]) }
            let writer = try await peer.openStream(headerValue: order)
            try await writer.write([5])
            try await writer.finish()
            for expected in [[2, 3], [4], [5]] as [[UInt8]] {
                let stream = try await next(server)
                #expect(try stream.stream && stream.decode(Order.self) == order)
                #expect(try await Array(stream.peer.read(exactly: expected.count)) == expected)
                stream.peer.closeStream()
            }
        }
    }

    @Test func `values go to all peers`() async throws {
        try await withPeer { server, peer in
            var options = TransportOptions()
            options.decoder = .framed
            #expect(
                try InMemoryTransport(options, network: InMemoryNetwork()).broadcast(value: 1).accepted == 0
            )
            try await peer.send(value: "hello")
            let other = try await next(server).peer
            #expect(try server.broadcast(value: Order(item: "all", count: 1)).accepted == 1)
            let writer = try await other.openStream()
            #expect(try server.broadcast(value: 1).failures.map(\.error.code) == [.wouldBlock])
            async let waiting = server.broadcast(value: 2, within: .seconds(1_000))
            try await writer.finish()
            #expect(try await waiting.accepted == 1)
        }
    }

    @Test(
        arguments: [
            (#"{"count": 1}"#, #"it lacks "item""#),
            (#"{"item": 1, "count": 1}"#, "a part of it is no String"),
            (#"{"item": null, "count": 1}"#, "a String in it is null"),
            ("\u{1B}[31m nonsense", "it is malformed"),
            ("", "it is malformed"),
        ]
    )
    func `what is no such value is an error that quotes nothing of the sender's`(text: String, reason: String)
        async throws
    {
        try await withPeer { server, peer in
            try await peer.send(message: text)
            let rpc = try await next(server)
            let error = #expect(throws: ParleyError.self) { try rpc.decode(Order.self) }
            #expect(error?.code == .protocolViolation)
            #expect(error?.message.hasSuffix("is no Order: \(reason)") == true)
            #expect(error?.message.contains("of \(text.utf8.count) bytes from \(rpc.from)") == true)
        }
    }

    @Test func `the error of a stream's header says that it is one`() async throws {
        try await withPeer { server, peer in
            let writer = try await peer.openStream(header: Array("{}".utf8)[...])
            let rpc = try await next(server)
            let error = #expect(throws: ParleyError.self) { try rpc.decode(Order.self) }
            #expect(error?.message.hasPrefix("a stream's header of 2 bytes from ") == true)
            rpc.peer.closeStream()
            try await writer.finish()
        }
    }

    private struct Unencodable: Encodable {
        func encode(to encoder: any Encoder) throws { throw CancellationError() }
    }

    @Test func `a value that cannot be encoded sends nothing`() async throws {
        try await withPeer { server, peer in
            await #expect(throws: CancellationError.self) { try await peer.send(value: Unencodable()) }
            await #expect(throws: CancellationError.self) {
                _ = try await peer.openStream(headerValue: Unencodable())
            }
            #expect(throws: CancellationError.self) { try server.broadcast(value: Unencodable()) }
            try await peer.send(value: 1)
            #expect(try await next(server).decode(Int.self) == 1)
        }
    }
}
