import Testing

@testable import ParleyCLI

@Suite("The transfer's records")
struct TransferRecordTests {
    private static let metadata = Metadata(mode: 0o640, modified: Timestamp(seconds: -5, nanoseconds: 7))

    private static let all: [TransferRecord] = [
        .totals(TransferTotals(files: 3, folders: 2, links: 1, byteCount: 1 << 40, name: Array("å".utf8))),
        .totals(TransferTotals(files: 1, byteCount: nil)),
        .entry(TransferEntry(kind: .folder, path: [0xFF], metadata: nil)),
        .entry(TransferEntry(kind: .file(byteCount: 0), path: Array("a/b".utf8), metadata: metadata)),
        .entry(TransferEntry(kind: .file(byteCount: nil), path: [], metadata: nil)),
        .entry(
            TransferEntry(kind: .link(target: Array("../x".utf8)), path: Array("l".utf8), metadata: metadata)
        ),
        .hole(byteCount: 1 << 40), .from(byteCount: 5), .endOfFile, .abandoned("it has changed"), .end,
    ]

    private func items(_ pieces: [ArraySlice<UInt8>]) async throws -> [TransferRecordDecoder.Item] {
        var decoder = TransferRecordDecoder()
        var items: [TransferRecordDecoder.Item] = []
        for piece in pieces { try await decoder.feed(piece) { items.append($0) } }
        return items
    }

    @Test("are read as they are written, however they are cut", arguments: [1, 2, 3, 7, 1_000])
    func roundTrip(pieceBytes: Int) async throws {
        let bytes = Self.all.flatMap(\.encoded)
        let pieces = stride(from: 0, to: bytes.count, by: pieceBytes).map {
            bytes[$0..<min(bytes.count, $0 + pieceBytes)]
        }
        #expect(try await items(pieces) == Self.all.map { .record($0) })
    }

    @Test("have their documented form")
    func form() {
        #expect(TransferRecord.title == Array("parley-file 3\n".utf8))
        #expect(TransferRecord.end.encoded == [0x5A, 0, 0, 0, 0])
        #expect(TransferRecord.data(byteCount: 258).encoded == [0x42, 0, 0, 1, 2])
        let file = TransferEntry(kind: .file(byteCount: 5), path: [0x61], metadata: nil)
        #expect(TransferRecord.entry(file).encoded == [0x46, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0x61])
    }

    @Test("The content of a file is passed on as it comes")
    func content() async throws {
        let bytes =
            TransferRecord.data(byteCount: 4).encoded + [1, 2, 3, 4] + TransferRecord.endOfFile.encoded
        #expect(
            try await items([bytes[..<6], bytes[6..<8], bytes[8...]])
                == [.content([1]), .content([2, 3]), .content([4]), .record(.endOfFile)]
        )
        let silence = TransferRecord.data(byteCount: 0).encoded + TransferRecord.end.encoded
        #expect(try await items([silence[...]]) == [.record(.end)])
    }

    @Test(
        "What is none is refused before memory is taken for it",
        arguments: [
            ([0x99, 0, 0, 0, 0], "a record of the unknown kind 153 came"),
            ([0x46, 0xFF, 0xFF, 0xFF, 0xFF], "a record of 4294967295 bytes came, more than 20543"),
            ([0x46, 0, 0, 0, 1, 0], "a record is cut short"),
            ([0x44, 0, 0, 0, 1, 2], "a record has the unknown flags 2"),
            ([0x48, 0, 0, 0, 8] + [UInt8](repeating: 255, count: 8), "a record leaves its size out"),
            (
                [0x48, 0, 0, 0, 8, 0x80] + [UInt8](repeating: 0, count: 7),
                "a record has a size of 9223372036854775808"
            ),
            (
                [0x54, 0, 0, 0, 32, 0x7F] + [UInt8](repeating: 0, count: 31),
                "more than 281474976710656 entries are announced"
            ),
        ] as [([UInt8], String)]
    )
    func malformed(bytes: [UInt8], reason: String) async {
        await #expect(throws: Refusal(reason)) { try await items([bytes[...]]) }
    }

    @Test("Only permission bits and real times travel")
    func metadata() {
        let metadata = Metadata(mode: 0o106_755, modified: Timestamp(seconds: 1, nanoseconds: .max))
        #expect(metadata.mode == 0o755)
        #expect(metadata.modified.nanoseconds == 999_999_999)
    }

    @Test(
        "Answers are read as they are written",
        arguments: [
            TransferAnswer.have(entry: 3, []), .have(entry: 0, [1, .max]),
            .refused(entry: 7, "it is late"), .failed(entry: 0, "no space"), .gaveUp("stopped"),
            .stored(entries: 3, byteCount: 1 << 40),
        ]
    )
    func answers(answer: TransferAnswer) throws {
        var bytes = answer.encoded + [1, 2]
        #expect(try TransferAnswer(takingFrom: &bytes) == answer)
        #expect(bytes == [1, 2])
        var half = Array(answer.encoded.dropLast())
        #expect(try TransferAnswer(takingFrom: &half) == nil)
    }

    @Test(
        "Other answers are none",
        arguments: [Array("hello".utf8), [0x53, 0, 1, 0, 0], [0x53, 0, 0, 0, 0], [0x48, 0, 1, 0, 0]]
    )
    func noAnswers(bytes: [UInt8]) {
        var bytes = bytes
        #expect(throws: Refusal.self) { try TransferAnswer(takingFrom: &bytes) }
    }

    @Test("A reason is shown safely, and stays short")
    func reasons() throws {
        var bytes = TransferAnswer.gaveUp("\u{1B}c").encoded
        #expect(try TransferAnswer(takingFrom: &bytes) == .gaveUp("\\x1bc"))
        #expect(TransferAnswer.gaveUp(String(repeating: "x", count: 5_000)).encoded.count < 600)
        for (length, rest) in [(496, "grü"), (497, "gr"), (498, "gr"), (499, "g"), (500, "")] {
            let beginning = String(repeating: "x", count: length)
            bytes = TransferAnswer.gaveUp(beginning + "grüße").encoded
            #expect(try TransferAnswer(takingFrom: &bytes) == .gaveUp(beginning + rest))
        }
        #expect(TransferAnswer.reason(inRefusal: Array("refused no\n".utf8)[...]) == "no\\n")
        #expect(TransferAnswer.reason(inRefusal: Array("ready".utf8)[...]) == nil)
    }

    @Test(
        "Text is cut between two characters",
        arguments: [
            ("", 0, ""), ("abc", 0, ""), ("abc", 2, "ab"), ("abc", 3, "abc"), ("aü", 2, "a"), ("aü", 3, "aü"),
            ("a🎉b", 1, "a"), ("a🎉b", 2, "a"), ("a🎉b", 4, "a"), ("a🎉b", 5, "a🎉"), ("ü", 1, ""),
        ]
    )
    func cut(text: String, maxBytes: Int, beginning: String) {
        #expect(text.utf8.cut(to: maxBytes) == Array(beginning.utf8))
    }

    @Test(
        "Totals in words",
        arguments: [
            (TransferTotals(files: 1, name: Array("a\n".utf8)), "a\\n"), (TransferTotals(files: 1), "1 file"),
            (TransferTotals(files: 2, folders: 1, name: Array("d".utf8)), "d (2 files and 1 folder)"),
            (TransferTotals(files: 2, folders: 1, links: 3), "2 files, 1 folder and 3 links"),
            (TransferTotals(), "nothing"),
        ]
    )
    func totals(totals: TransferTotals, text: String) { #expect(totals.text == text) }
}
