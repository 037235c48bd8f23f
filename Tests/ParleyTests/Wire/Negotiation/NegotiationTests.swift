import FaultProxy
import Testing

@testable import Parley

/// Multistream-select against bytes written by hand.
@Suite struct NegotiationTests {
    private static let header = line("/multistream/1.0.0")

    /// A line of at most 127 bytes.
    private static func line(_ text: String) -> [UInt8] {
        [UInt8(text.utf8.count + 1)] + Array(text.utf8) + [0x0a]
    }

    private static func bytes(_ body: (inout WireBuffer) -> Void) -> [UInt8] {
        var output = WireBuffer()
        body(&output)
        return output.contiguous
    }

    // MARK: - Lines

    @Test func `the header is 20 bytes, and long lines have a length of two`() throws {
        let header: [UInt8] = [
            0x13, 0x2f, 0x6d, 0x75, 0x6c, 0x74, 0x69, 0x73, 0x74, 0x72, 0x65, 0x61, 0x6d, 0x2f, 0x31, 0x2e,
            0x30, 0x2e, 0x30, 0x0a,
        ]
        #expect(Self.bytes { Multistream.write(Multistream.header, into: &$0) } == header)
        for (count, length) in [(126, [0x7f]), (127, [0x80, 1]), (300, [0xad, 2])] as [(Int, [UInt8])] {
            let text = String(repeating: "x", count: count)
            let bytes = Self.bytes { Multistream.write(text, into: &$0) }
            #expect(bytes == length + Array(text.utf8) + [0x0a], "\(count)")
            var reader = MultistreamReader()
            var input = (bytes + [1, 0x0a])[...]
            let line = try reader.next(&input)
            #expect(line?.count == count && input.count == 2)
        }
    }

    @Test func `names are short, and neither empty, nor lines of the negotiation`() {
        for name in ["/a", "x", String(repeating: "x", count: 1_023)] { #expect(Multistream.isName(name)) }
        for name in ["", "a\nb", "na", "ls", "/multistream/1.0.0", String(repeating: "x", count: 1_024)] {
            #expect(!Multistream.isName(name), "\(name.prefix(20))")
        }
    }

    private static let violations: [(bytes: [UInt8], message: String)] = [
        ([0], "an empty line, at byte 0"),
        ([1, 0x61], "a line without a newline, at byte 0"),
        ([3, 0x61, 0x0a, 0x62], "a line without a newline, at byte 0"),
        ([4, 0x61, 0x0a, 0x62, 0x0a], "a newline inside a line, at byte 0"),
        ([0x93, 0], "a length with more bytes than it needs, at byte 0"),
        ([0x80, 0], "a length with more bytes than it needs, at byte 0"),
        ([0x81, 0x08], "a line of 1025 bytes, allowed are 1024, at byte 0"),
        ([0x80, 0x80], "a line longer than 1024 bytes, at byte 0"),
        ([0xff, 0xff, 0xff, 0xff, 0x0f], "a line longer than 1024 bytes, at byte 0"),
        (line("/multistream/2.0.0"), "\"/multistream/2.0.0\" instead of /multistream/1.0.0, at byte 0"),
        (line("GET\t"), "\"GET\\t\" instead of /multistream/1.0.0, at byte 0"),
        ([1, 0x0a], "\"\" instead of /multistream/1.0.0, at byte 0"),
        (header + [0], "an empty line, at byte 20"),
        (header + [2, 0x61, 0x62], "a line without a newline, at byte 20"),
    ]

    @Test func `each violation is named, on both sides, in one piece and byte by byte`() {
        for (bytes, message) in Self.violations {
            for size in [1, bytes.count] {
                let pieces = stride(from: 0, to: bytes.count, by: size).map { bytes[$0...].prefix(size) }
                var output = WireBuffer()
                var dialer = NegotiationDialer(["/a"])
                var listener = NegotiationListener()
                let expected = ParleyError(
                    .protocolViolation,
                    "multistream: \(message) of the negotiation"
                )
                #expect(throws: expected) {
                    for var piece in pieces { _ = try dialer.receive(&piece, into: &output) }
                }
                #expect(throws: expected) {
                    for var piece in pieces {
                        _ = try listener.receive(&piece, isSupported: { _ in true }, into: &output)
                    }
                }
            }
        }
    }

    // MARK: - The dialer

    @Test func `the dialer sends header and proposal together`() {
        let dialer = NegotiationDialer(["/noise"])
        #expect(Self.bytes(dialer.begin) == Self.header + Self.line("/noise"))
        #expect(dialer.mayWriteAhead && !NegotiationDialer(["/a", "/b"]).mayWriteAhead)
    }

    @Test func `the dialer tries one proposal after the other`() throws {
        var dialer = NegotiationDialer(["/a", "/b", "/c"])
        var output = WireBuffer()
        var input = (Self.header + Self.line("na"))[...]
        #expect(try dialer.receive(&input, into: &output) == .incomplete)
        #expect(output.contiguous == Self.line("/b"))
        input = (Self.line("na"))[...]
        output.removeAll()
        #expect(try dialer.receive(&input, into: &output) == .incomplete)
        #expect(output.contiguous == Self.line("/c"))
        output.removeAll()
        input = (Self.line("/c") + [1, 2, 3])[...]
        #expect(try dialer.receive(&input, into: &output) == .chosen("/c"))
        #expect(input == [1, 2, 3] && output.isEmpty, "what is behind it is the protocol's")
    }

    @Test func `the dialer ends when nothing is left to propose, or when the answer is none`() throws {
        var dialer = NegotiationDialer(["/a"])
        var output = WireBuffer()
        var input = (Self.header + Self.line("na") + Self.line("na"))[...]
        #expect(try dialer.receive(&input, into: &output) == .unsupported)
        #expect(input.elementsEqual(Self.line("na")) && output.isEmpty)
        for answer in ["/b", "/a/", "ls", "n"] {
            var dialer = NegotiationDialer(["/a"])
            var input = (Self.header + Self.line(answer))[...]
            #expect(
                throws: ParleyError(
                    .protocolViolation,
                    "multistream: the answer \"\(answer)\" to /a, at byte 20 of the negotiation"
                )
            ) { try dialer.receive(&input, into: &output) }
        }
    }

    // MARK: - The listener

    @Test func `the listener answers na until it hears a name that it speaks`() throws {
        var listener = NegotiationListener()
        var output = WireBuffer()
        var input = (Self.header + Self.line("/x") + Self.line("ls") + Self.line("/b") + [7, 7])[...]
        let name = try listener.receive(&input, isSupported: ["/a", "/b"].contains, into: &output)
        #expect(name == "/b" && input == [7, 7])
        let answers = [Self.header, Self.line("na"), Self.line("na"), Self.line("/b")]
        #expect(output.contiguous == answers.flatMap { $0 })
    }

    @Test func `the listener's header goes out before the proposal comes`() throws {
        var listener = NegotiationListener()
        var output = WireBuffer()
        var input = Self.header[...]
        #expect(try listener.receive(&input, isSupported: { _ in true }, into: &output) == nil)
        #expect(output.contiguous == Self.header)
    }

    @Test func `lines of the negotiation and names that are not UTF-8 are never names`() throws {
        var listener = NegotiationListener()
        var output = WireBuffer()
        let lines = [Self.line("na"), Self.line("ls"), Self.header, [3, 0xff, 0xfe, 0x0a], [1, 0x0a]]
        var input = (Self.header + lines.flatMap { $0 })[...]
        #expect(try listener.receive(&input, isSupported: { _ in true }, into: &output) == nil)
        #expect(output.contiguous == Self.header + lines.flatMap { _ in Self.line("na") })
    }

    @Test func `proposals without end are refused`() throws {
        var listener = NegotiationListener()
        var output = WireBuffer()
        var input = (Self.header + (1..<64).flatMap { Self.line("/\($0)") })[...]
        #expect(try listener.receive(&input, isSupported: { _ in false }, into: &output) == nil)
        input = Self.line("/64")[...]
        #expect(throws: ParleyError.self) {
            try listener.receive(&input, isSupported: { _ in false }, into: &output)
        }
    }

    // MARK: - Together

    /// Joins both sides by pipes that deliver random pieces.
    @Test(arguments: 0..<UInt64(200)) func `both sides agree, however the bytes arrive`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let names = (0..<8).map { "/name/\(String(repeating: "x", count: $0 * 30))" }
        let proposals = Array(names.shuffled(using: &random).prefix(Int.random(in: 1...5, using: &random)))
        let spoken = names.filter { _ in random.oneIn(3) }
        var (dialer, listener) = (NegotiationDialer(proposals), NegotiationListener())
        var (toListener, toDialer) = (WireBuffer(), WireBuffer())
        dialer.begin(into: &toListener)
        let ahead: [UInt8] = dialer.mayWriteAhead ? [1, 2, 3] : []
        toListener.append(ahead)
        var (pipes, outcome, chosen) = ([[UInt8]](repeating: [], count: 2), Outcome.incomplete, String?.none)
        var steps = 0
        while outcome == .incomplete {
            steps += 1
            try #require(steps < 100_000, "nobody goes on")
            pipes[0] += toListener.contiguous
            pipes[1] += toDialer.contiguous
            toListener.removeAll()
            toDialer.removeAll()
            let at = Int.random(in: 0...1, using: &random)
            let count = random.size(upTo: 50)
            var piece = pipes[at].prefix(count)
            let rest = pipes[at].dropFirst(count)
            if at == 0, chosen == nil, !(spoken.isEmpty && dialer.mayWriteAhead && piece.first == 3) {
                let supports = { (name: String) in spoken.contains(name) }
                // Without a name in common, what was written ahead is no line.
                do { chosen = try listener.receive(&piece, isSupported: supports, into: &toDialer) } catch {
                    #expect(dialer.mayWriteAhead && !spoken.contains(proposals[0]))
                    piece = []
                }
                pipes[0] = Array(piece + rest)
            } else if at == 1 {
                outcome = try dialer.receive(&piece, into: &toListener)
                pipes[1] = Array(piece + rest)
            }
        }
        let common = proposals.first(where: spoken.contains)
        #expect(chosen == common)
        #expect(outcome == (common.map { .chosen($0) } ?? .unsupported))
        if common != nil { #expect(pipes[0] + toListener.contiguous == ahead && pipes[1].isEmpty) }
    }

    private typealias Outcome = NegotiationDialer.Outcome

    @Test func `at every split the outcome and the rest are the same`() throws {
        let wire = Self.header + Self.line("na") + Self.line("/b") + [9, 9]
        for split in 0...wire.count {
            var dialer = NegotiationDialer(["/a", "/b"])
            var output = WireBuffer()
            var rest = wire[..<split]
            var outcome = try dialer.receive(&rest, into: &output)
            if outcome == .incomplete {
                #expect(rest.isEmpty)
                rest = wire[split...]
                outcome = try dialer.receive(&rest, into: &output)
            } else {
                rest += wire[split...]
            }
            #expect(outcome == .chosen("/b") && rest == [9, 9], "split at \(split)")
            #expect(output.contiguous == Self.line("/b"))
        }
    }
}
