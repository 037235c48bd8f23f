import Parley

/// One line of `parley ls`.
enum ListingLine {
    /// `-rw-r--r--       1500  2026-11-27 23:54:25  notes.txt`
    static func text(_ entry: TransferEntry) -> String {
        let path = String(printable: entry.path)
        let (kind, size, name) =
            switch entry.kind {
            case .folder: ("d", "-", path + "/")
            case .file(let byteCount): ("-", byteCount.map { "\($0)" } ?? "-", path)
            case .link(let target): ("l", "-", "\(path) -> \(String(printable: target))")
            }
        let mode = entry.metadata.map { Self.permissions($0.mode) } ?? "?????????"
        let time = entry.metadata.map { UTCTime($0.modified).text } ?? ""
        return "\(kind)\(mode) \(size.padded(to: 14, with: " "))  \(time)  \(name)"
    }

    /// `rw-r--r--`
    private static func permissions(_ mode: UInt32) -> String {
        String("rwxrwxrwx".enumerated().map { index, letter in mode >> (8 - index) & 1 == 1 ? letter : "-" })
    }
}

/// A moment in the calendar. Source: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
struct UTCTime {
    let text: String

    init(_ timestamp: Timestamp) {
        // What a stranger claims may be any number; beyond these years nothing is meant.
        let seconds = Int(max(-62_135_596_800, min(timestamp.seconds, 253_402_300_799)))
        let day = seconds >= 0 ? seconds / 86_400 : -((86_399 - seconds) / 86_400)
        let second = seconds - day * 86_400
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func digits(_ number: Int, _ count: Int = 2) -> String {
            String(number).padded(to: count, with: "0")
        }
        text =
            "\(digits(year, 4))-\(digits(month))-\(digits(dayOfMonth)) "
            + "\(digits(second / 3_600)):\(digits(second / 60 % 60)):\(digits(second % 60))"
    }
}
