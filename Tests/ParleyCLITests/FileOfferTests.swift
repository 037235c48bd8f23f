import Testing

@testable import ParleyCLI

@Suite("The transfer's messages")
struct FileOfferTests {
    @Test("An offer has its documented form")
    func form() throws {
        let offer = FileOffer(version: .message, size: 20_971_520, name: Array("å b.txt".utf8))
        #expect(offer.encoded == Array("parley-file 1\n20971520\nå b.txt".utf8))
        #expect(try FileOffer(decoding: offer.encoded[...], as: .message) == offer)
    }

    @Test("A name is taken as it comes")
    func hostileName() throws {
        let name = Array("../a\nb\0".utf8)
        let offer = FileOffer(version: .header, size: 0, name: name)
        #expect(try FileOffer(decoding: offer.encoded[...], as: .header).name == name)
    }

    @Test(
        "What is no offer is refused, and why",
        arguments: [
            ("hello", "expected the offer of a file"),
            ("", "expected the offer of a file"),
            ("parley-file 2\n1\nx", "version 2 of the file transfer is not known here, only 1"),
            ("parley-file 1", "the offer is cut short"),
            ("parley-file 1\n17", "the offer is cut short"),
            ("parley-file 1\n\nx", "\"\" is not the size of a file"),
            ("parley-file 1\n-1\nx", "\"-1\" is not the size of a file"),
            ("parley-file 1\n+1\nx", "\"+1\" is not the size of a file"),
            ("parley-file 1\n9223372036854775808\nx", "\"9223372036854775808\" is not the size of a file"),
        ]
    )
    func malformed(message: String, reason: String) {
        #expect(throws: Refusal(reason)) { try FileOffer(decoding: Array(message.utf8)[...], as: .message) }
    }

    @Test(
        "Answers are read as they are written",
        arguments: [
            TransferAnswer.ready, .refused("it is late"), .stored(byteCount: 0), .stored(byteCount: 7),
            .failed("no space"),
        ]
    )
    func answers(answer: TransferAnswer) {
        #expect(TransferAnswer(decoding: answer.encoded[...]) == answer)
    }

    @Test("Other answers are none", arguments: ["", "ready now", "stored", "stored x", "hello"])
    func noAnswers(message: String) {
        #expect(TransferAnswer(decoding: Array(message.utf8)[...]) == nil)
    }

    @Test("A reason is shown safely, and stays short")
    func reasons() {
        #expect(TransferAnswer(decoding: Array("failed \u{1B}c".utf8)[...]) == .failed("\\x1bc"))
        #expect(TransferAnswer.refused(String(repeating: "x", count: 5_000)).encoded.count < 600)
    }
}
