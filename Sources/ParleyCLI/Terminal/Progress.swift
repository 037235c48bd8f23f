#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The progress of a transfer, as text.
struct Progress: Equatable {
    // `Double`, because the sizes are claims of remote senders, and their sum must not overflow.
    var doneBytes: Double
    /// Nil when it is not known.
    var totalBytes: Double?
    var seconds: Double

    private static let widestBar = 40
    private static let narrowestBar = 10

    /// The average since the beginning.
    private var bytesPerSecond: Double { seconds > 0 ? doneBytes / seconds : 0 }

    /// `20971520 bytes in 0.12 s (174.8 MB/s)`
    var summary: String {
        let bytes = doneBytes == 1 ? 1.inBytes : "\(doneBytes.text(decimals: 0)) bytes"
        return "\(bytes) in \(seconds.text(decimals: 2)) s (\(rate))"
    }

    /// `[#######             ]  37%  7.8 MB of 21.0 MB  104.9 MB/s  ETA 0:03`, narrower than `columns`.
    func bar(columns: Int) -> String {
        guard let totalBytes else {
            return String("\(Self.amount(doneBytes))  \(rate)".prefix(max(0, columns - 1)))
        }
        let fraction = totalBytes > 0 ? min(1, doneBytes / totalBytes) : 1
        let percent = "\(Int(fraction * 100))%".padded(to: 4, with: " ")
        let amounts = "\(Self.amount(doneBytes)) of \(Self.amount(totalBytes))"
        let figures = [percent, amounts, rate, "ETA \(timeLeft(of: totalBytes))"].joined(separator: "  ")
        // A line of the full width would wrap on some terminals.
        let width = min(Self.widestBar, columns - 1 - figures.count - "[] ".count)
        guard width >= Self.narrowestBar else { return String(figures.prefix(max(0, columns - 1))) }
        let filled = Int(fraction * Double(width))
        return "[" + String(repeating: "#", count: filled) + String(repeating: " ", count: width - filled)
            + "] "
            + figures
    }

    private var rate: String { Self.amount(bytesPerSecond) + "/s" }

    private func timeLeft(of totalBytes: Double) -> String {
        guard bytesPerSecond > 0 else { return "-:--" }
        let left = max(0, totalBytes - doneBytes) / bytesPerSecond
        // No figure from one day on.
        guard left < 86_400 else { return "-:--" }
        let (hours, minutes, seconds) = (Int(left) / 3_600, Int(left) / 60 % 60, Int(left) % 60)
        let twoDigits = { (number: Int) in String(number).padded(to: 2, with: "0") }
        return hours > 0
            ? "\(hours):\(twoDigits(minutes)):\(twoDigits(seconds))"
            : "\(minutes):\(twoDigits(seconds))"
    }

    /// `21.0 MB`
    static func amount(_ bytes: Double) -> String {
        let units = ["B", "kB", "MB", "GB", "TB"]
        var (value, unit) = (bytes, 0)
        while value >= 999.95, unit < units.count - 1 {
            value /= 1_000
            unit += 1
        }
        return "\(value.text(decimals: unit == 0 ? 0 : 1)) \(units[unit])"
    }
}

// Number formatting. Foundation has it too, but would make a statically linked tool four times as large.

extension Double {
    /// The number rounded to that many decimals: `174.8`. It must not be negative.
    func text(decimals: Int) -> String {
        let scale = (0..<decimals).reduce(1) { scale, _ in scale * 10 }
        let rounded = (self * Double(scale)).rounded(.toNearestOrEven)
        guard let units = Int(exactly: rounded) else { return "\(self)" }
        let whole = String(units / scale)
        return decimals == 0 ? whole : whole + "." + String(units % scale).padded(to: decimals, with: "0")
    }
}

extension Int {
    /// `1 byte`, `20 bytes`
    var inBytes: String { self == 1 ? "1 byte" : "\(self) bytes" }

    /// The sum of two sizes, or the largest number: sparse files can have any size.
    func addingClamped(_ other: Int) -> Int {
        let (sum, isTooLarge) = addingReportingOverflow(other)
        return isTooLarge ? .max : sum
    }
}

extension String {
    /// The text with `filler` in front, at least `width` characters long.
    func padded(to width: Int, with filler: String) -> String {
        String(repeating: filler, count: Swift.max(0, width - count)) + self
    }
}
