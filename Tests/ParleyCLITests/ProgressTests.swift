import Testing

@testable import ParleyCLI

@Suite("Progress as text")
struct ProgressTests {
    private let half = Progress(doneBytes: 10_500_000, totalBytes: 21_000_000, seconds: 0.5)

    @Test("A bar has percent, amounts, rate and the time that is left")
    func bar() {
        #expect(
            half.bar(columns: 100)
                == "[####################                    ]  50%  10.5 MB of 21.0 MB  21.0 MB/s  ETA 0:00"
        )
    }

    @Test("It never fills the line, however narrow", arguments: [0, 1, 10, 40, 60, 80, 100, 200])
    func width(columns: Int) {
        #expect(half.bar(columns: columns).count < max(1, columns))
    }

    @Test("Nothing is complete, and nothing done has no end in sight")
    func edges() {
        let empty = Progress(doneBytes: 0, totalBytes: 0, seconds: 0).bar(columns: 100)
        #expect(empty.hasSuffix("] 100%  0 B of 0 B  0 B/s  ETA -:--"))
        let begun = Progress(doneBytes: 0, totalBytes: 5, seconds: 3).bar(columns: 100)
        #expect(begun.hasSuffix("]   0%  0 B of 5 B  0 B/s  ETA -:--"))
        // The size is the sender's claim.
        let over = Progress(doneBytes: 9, totalBytes: 5, seconds: 3).bar(columns: 100)
        #expect(over.hasPrefix("[" + String(repeating: "#", count: 40) + "] 100%  9 B of 5 B"))
    }

    @Test(
        "The time left is in minutes or hours",
        arguments: [(60, "1:00"), (61, "1:01"), (3_600, "1:00:00"), (86_399, "23:59:59"), (86_400, "-:--")]
    )
    func timeLeft(seconds: Double, text: String) {
        let progress = Progress(doneBytes: 1_000, totalBytes: 1_000 + seconds * 1_000, seconds: 1)
        #expect(progress.bar(columns: 100).hasSuffix("ETA \(text)"))
    }

    @Test("Bytes count for the file of their own transfer alone, and those of all never overflow")
    func sums() {
        var sums = ProgressSums()
        sums.begin(totalBytes: nil)
        sums.begin(totalBytes: 10)
        sums.begin(FileProgress(name: "theirs", totalBytes: nil), of: 2)
        sums.begin(FileProgress(name: "ours", totalBytes: 10), of: 1)
        sums.advance(1, by: 5)
        for _ in 0..<3 { sums.advance(2, by: .max) }
        #expect(sums.file == FileProgress(name: "ours", doneBytes: 5, totalBytes: 10))
        #expect(sums.file?.line(columns: 80) == "ours  50%  5 B of 10 B")
        #expect(sums.doneBytes == 3 * 0x1p63 + 5)
        #expect(sums.totalBytes == nil)
        for _ in 0..<2 { sums.advance(1, by: .max) }
        #expect(sums.file?.line(columns: 80).hasPrefix("ours  100%  ") == true)
        #expect(Int.max.addingClamped(1) == .max && 2.addingClamped(3) == 5)
        // What has ended is shown no more.
        sums.end(1, doneBytes: .max, of: nil)
        #expect(sums.file == nil && sums.transfers == 1)
        #expect(sums.totalBytes == 10 + 0x1p63)
    }

    @Test("Amounts have units of a thousand")
    func summary() {
        #expect(
            Progress(doneBytes: 999, totalBytes: 999, seconds: 1).summary == "999 bytes in 1.00 s (999 B/s)"
        )
        #expect(
            Progress(doneBytes: 20_971_520, totalBytes: 20_971_520, seconds: 0.12).summary
                == "20971520 bytes in 0.12 s (174.8 MB/s)"
        )
        #expect(
            Progress(doneBytes: 999_960, totalBytes: 999_960, seconds: 1).summary
                == "999960 bytes in 1.00 s (1.0 MB/s)"
        )
    }
}
