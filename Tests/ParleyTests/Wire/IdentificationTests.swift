import Testing

@testable import Parley

/// The message of identify as a value.
@Suite struct IdentificationTests {
    private static func sample() throws -> Identification {
        var sample = Identification()
        sample.protocolVersion = "ipfs/0.1.0"
        sample.agentVersion = "parley"
        sample.id = try PeerID("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq")
        sample.listenAddresses = [Multiaddr([.ip4(0x7f00_0001), .tcp(3_000)])]
        sample.observedAddress = Multiaddr([.ip6(high: 0, low: 1), .tcp(51_514)])
        sample.protocols = ["/echo/1.0.0", "/ipfs/ping/1.0.0"]
        return sample
    }

    private static func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
        [number << 3 | 2, UInt8(content.count)] + content
    }

    private static func message(_ fields: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        Varint.append(UInt64(fields.count), to: &bytes)
        return bytes + fields
    }

    @Test func `it is read as it was written`() throws {
        for said in [try Self.sample(), Identification()] {
            #expect(try Identification(delimited: said.delimited[...]) == said)
        }
    }

    @Test func `its bytes are those of the specification`() throws {
        let said = try Self.sample()
        let key = said.id?.publicKeyProtobuf ?? []
        let observed: [UInt8] = [41] + [UInt8](repeating: 0, count: 15) + [1, 6, 0xc9, 0x3a]
        let fields =
            Self.field(1, key) + Self.field(2, [4, 127, 0, 0, 1, 6, 0x0b, 0xb8])
            + Self.field(3, Array("/echo/1.0.0".utf8)) + Self.field(3, Array("/ipfs/ping/1.0.0".utf8))
            + Self.field(4, observed) + Self.field(5, Array("ipfs/0.1.0".utf8))
            + Self.field(6, Array("parley".utf8))
        #expect(said.delimited == Self.message(fields))
    }

    @Test func `what is long is several messages, and the first has what matters most`() throws {
        var said = try Self.sample()
        said.protocols = (0..<300).map { "/a-protocol-with-a-name-of-some-length/\($0)/1.0.0" }
        let bytes = said.delimited
        #expect(try Identification(delimited: bytes[...]) == said)
        var rest = bytes[...]
        var sizes: [Int] = []
        while let size = Varint.take(from: &rest) {
            if sizes.isEmpty {
                let first = try Identification(delimited: Self.message(Array(rest.prefix(Int(size))))[...])
                #expect(first.id == said.id && first.listenAddresses == said.listenAddresses)
                #expect(first.agentVersion == said.agentVersion && first.protocols.count > 50)
            }
            sizes.append(Int(size))
            rest = rest.dropFirst(Int(size))
        }
        #expect(sizes.count == 4 && sizes.allSatisfy { $0 <= 4_096 } && sizes[0] > 4_000)
    }

    @Test func `several messages are one`() throws {
        let bytes =
            Self.message(Self.field(6, Array("a".utf8)) + Self.field(3, Array("/a".utf8)))
            + Self.message(Self.field(6, Array("b".utf8)) + Self.field(3, Array("/b".utf8)))
            + Self.message([])
        let said = try Identification(delimited: bytes[...])
        #expect(said.agentVersion == "b" && said.protocols == ["/a", "/b"])
    }

    @Test func `a push replaces what it has, and leaves the rest`() throws {
        let known = try Self.sample()
        var other = Identification()
        other.protocolVersion = "ipfs/0.2.0"
        other.agentVersion = "other"
        other.id = try PeerID(publicKey: [UInt8](repeating: 7, count: 32))
        other.listenAddresses = [Multiaddr([.ip4(0x0a00_0001), .tcp(1)])]
        other.observedAddress = Multiaddr([.ip4(0x0a00_0002), .tcp(2)])
        other.protocols = ["/other"]
        let fields: [(inout Identification) -> Void] = [
            { $0.protocolVersion = other.protocolVersion }, { $0.agentVersion = other.agentVersion },
            { $0.id = other.id }, { $0.listenAddresses = other.listenAddresses },
            { $0.observedAddress = other.observedAddress }, { $0.protocols = other.protocols },
        ]
        for set in fields {
            var (pushed, expected, updated) = (Identification(), known, known)
            set(&pushed)
            set(&expected)
            updated.update(with: pushed)
            #expect(updated == expected)
        }
        for (pushed, expected) in [(other, other), (Identification(), known)] {
            var updated = known
            updated.update(with: pushed)
            #expect(updated == expected)
        }
    }

    @Test func `unknown fields, addresses and keys are passed over`() throws {
        let fields =
            Self.field(8, [1, 2, 3]) + [0x50, 7] + Self.field(2, [4, 127, 0, 0, 1, 0x91, 2, 0, 1])
            + Self.field(4, [1]) + Self.field(1, [8, 0, 18, 1, 9])
        #expect(try Identification(delimited: Self.message(fields)[...]) == Identification())
    }

    @Test func `impossible names, and what is beyond the limits, are left out`() throws {
        let odd = [[], [0xff], Array("a\nb".utf8), Array("na".utf8)].flatMap { Self.field(3, $0) }
        let name = Self.field(3, Array("/a".utf8))
        let address = Self.field(2, [4, 127, 0, 0, 1])
        let said = try Identification(
            delimited: Self.message(
                odd + (0...1_024).flatMap { _ in name } + (0...256).flatMap { _ in address }
            )[...]
        )
        #expect(said.protocols == Array(repeating: "/a", count: 1_024) && said.listenAddresses.count == 256)
    }

    @Test func `what is written is no more than others read`() throws {
        var own = Identification()
        own.protocols = (0..<2_000).map { "/protocol/\($0)" }
        var rest = own.delimited[...]
        var messages = 0
        while let size = Varint.take(from: &rest) {
            messages += 1
            rest = rest.dropFirst(Int(size))
        }
        #expect((2...9).contains(messages) && rest.isEmpty)
        let all = try Identification(delimited: own.delimited[...])
        #expect(all.protocols == Array(own.protocols.prefix(1_024)))
        own.protocols = (0..<1_000).map { "/" + String(repeating: "x", count: 90) + "\($0)" }
        let read = try Identification(delimited: own.delimited[...])
        #expect((300..<1_000).contains(read.protocols.count) && own.protocols.starts(with: read.protocols))
    }

    @Test func `malformed ones are refused by name`() throws {
        let table: [(bytes: [UInt8], why: String)] = [
            ([], "ends inside a message"),
            ([5, 1], "ends inside a message"),
            ([0xff], "ends inside a message"),
            (Self.message([0x1a, 9, 1]), "is malformed"),
            (Self.message([0x1b]), "is malformed"),
            ([UInt8](repeating: 0, count: 65_537), "more than 65536 bytes"),
        ]
        for (bytes, why) in table {
            let thrown = #expect(throws: ParleyError.self) { try Identification(delimited: bytes[...]) }
            #expect(thrown?.code == .protocolViolation && thrown?.message.contains(why) == true, "\(why)")
        }
    }
}
