import Testing

@testable import Parley

/// Headers against bytes written by hand.
@Suite struct YamuxHeaderTests {
    private static let vectors: [(header: YamuxHeader, bytes: [UInt8])] = [
        (YamuxHeader(.data, .syn, stream: 1, length: 5), [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5]),
        (YamuxHeader(.data, stream: 3, length: 0x01020304), [0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4]),
        (YamuxHeader(.data, [.ack, .fin], stream: 2, length: 0), [0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 0]),
        (
            YamuxHeader(.windowUpdate, .ack, stream: 0x01020304, length: 262_144),
            [0, 1, 0, 2, 1, 2, 3, 4, 0, 4, 0, 0]
        ),
        (
            YamuxHeader(.windowUpdate, .rst, stream: .max, length: .max),
            [0, 1, 0, 8, 255, 255, 255, 255, 255, 255, 255, 255]
        ),
        (YamuxHeader(.ping, .syn, stream: 0, length: 7), [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]),
        (YamuxHeader(.ping, .ack, stream: 0, length: 7), [0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7]),
        (YamuxHeader(.goAway, stream: 0, length: 2), [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]),
        (YamuxHeader(.data, .all, stream: 9, length: 1), [0, 0, 0, 15, 0, 0, 0, 9, 0, 0, 0, 1]),
    ]

    private static let refused: [(bytes: [UInt8], violation: MuxViolation)] = [
        ([1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], .wrongVersion(1)),
        ([0x47, 0x45, 0x54, 0x20, 0, 0, 0, 1, 0, 0, 0, 0], .wrongVersion(0x47)),
        ([0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], .unknownType(4)),
        ([0, 255, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], .unknownType(255)),
        ([0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0], .unknownFlags(16)),
        ([0, 1, 128, 1, 0, 0, 0, 1, 0, 0, 0, 0], .unknownFlags(0x8001)),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .streamFrameWithoutStream),
        ([0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], .streamFrameWithoutStream),
        ([0, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0], .sessionFrameOnStream(1)),
        ([0, 3, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0], .sessionFrameOnStream(2)),
        ([0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .misplacedFlags(.ping, 0)),
        ([0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0], .misplacedFlags(.ping, 3)),
        ([0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], .misplacedFlags(.goAway, 1)),
    ]

    @Test func `headers are written and read as the specification says`() throws {
        for (header, bytes) in Self.vectors {
            var output = WireBuffer()
            header.encode(into: &output)
            #expect(output.contiguous == bytes)
            for split in 0...bytes.count {
                var partial = PartialYamuxHeader()
                var first = bytes[..<split]
                let early = try partial.take(&first)
                #expect(early == (split == bytes.count ? header : nil) && first.isEmpty)
                guard early == nil else { continue }
                #expect(partial.count == split)
                var rest = bytes[split...] + [99]
                #expect(try partial.take(&rest) == header)
                #expect(rest == [99] && partial.count == 0, "the next header begins anew")
            }
        }
    }

    @Test func `each impossible header is refused with its own name`() {
        for (bytes, violation) in Self.refused {
            var partial = PartialYamuxHeader()
            var input = bytes[...]
            #expect(throws: violation) { try partial.take(&input) }
        }
    }
}
