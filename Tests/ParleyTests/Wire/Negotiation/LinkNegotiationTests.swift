import Testing

@testable import Parley

/// The one negotiation of a whole connection, from both sides.
@Suite struct LinkNegotiationTests {
    static func lines(_ texts: String...) -> [UInt8] {
        var output = WireBuffer()
        for text in texts { Multistream.write(text, into: &output) }
        return output.contiguous
    }

    private static let header = Multistream.header

    private enum Result: Equatable {
        case agreed(answers: [UInt8], left: [UInt8])
        case incomplete(answers: [UInt8])
        case failed(ParleyError.Code)
    }

    private static func result(of bytes: [UInt8], as side: LinkNegotiation.Side) -> Result {
        var negotiation = LinkNegotiation(of: "/noise", as: side)
        var input = bytes[...]
        var answers = WireBuffer()
        do throws(ParleyError) {
            let isAgreed = try negotiation.receive(&input, into: &answers)
            return isAgreed
                ? .agreed(answers: answers.contiguous, left: Array(input))
                : .incomplete(answers: answers.contiguous)
        } catch { return .failed(error.code) }
    }

    @Test func `the dialer proposes at once, the listener says nothing`() {
        let proposal = Self.lines(Self.header, "/noise")
        #expect(LinkNegotiation(of: "/noise", as: .dialer).opening.contiguous == proposal)
        #expect(LinkNegotiation(of: "/noise", as: .listener).opening.isEmpty)
    }

    @Test func `the dialer takes the name, and no other answer`() {
        let header = Self.header
        let table: [(lines: [UInt8], result: Result)] = [
            ([], .incomplete(answers: [])),
            (Self.lines(header), .incomplete(answers: [])),
            (Self.lines(header, "/noise"), .agreed(answers: [], left: [])),
            (Self.lines(header, "/noise") + [0, 32, 1], .agreed(answers: [], left: [0, 32, 1])),
            (Self.lines(header, "na"), .failed(.unsupported)),
            (Self.lines(header, "/tls/1.0.0"), .failed(.protocolViolation)),
            (Self.lines("/noise"), .failed(.protocolViolation)),
            // "H" is a length, 72 bytes.
            (Array("HTTP/1.1 ".utf8), .incomplete(answers: [])),
            (Array("HTTP/1.1 400 ".utf8) + Array(repeating: 0x2e, count: 72), .failed(.protocolViolation)),
        ]
        for (lines, result) in table { #expect(Self.result(of: lines, as: .dialer) == result, "\(lines)") }
    }

    @Test func `the listener answers each proposal, until one is the name`() {
        let header = Self.header
        let table: [(lines: [UInt8], result: Result)] = [
            (Self.lines(header), .incomplete(answers: Self.lines(header))),
            (
                Self.lines(header, "/tls/1.0.0", "ls"),
                .incomplete(answers: Self.lines(header, "na", "na"))
            ),
            (
                Self.lines(header, "/tls/1.0.0", "/noise") + [9],
                .agreed(answers: Self.lines(header, "na", "/noise"), left: [9])
            ),
            ([0, 32] + [UInt8](repeating: 7, count: 32), .failed(.protocolViolation)),
        ]
        for (lines, result) in table { #expect(Self.result(of: lines, as: .listener) == result, "\(lines)") }
    }

    @Test(arguments: [
        ([], false), (["/mplex/6.7.0"], false), (["/yamux/1.0.0"], true), (["/yamux/2.0.0"], false),
        (["/mplex/6.7.0", "/yamux/1.0.0"], true), (["/yamux/1.0.0", "/mplex/6.7.0"], true),
    ])
    func `the handshake settles the form of streams if both sides offer yamux`(
        offer: [String],
        isSettled: Bool
    ) {
        #expect(LibP2P.isStreamMuxerSettled(by: offer) == isSettled)
    }
}
