import Parley

/// The file that is under way, as text.
struct FileProgress: Equatable {
    /// Safe to show.
    let name: String
    // `Double`, as in ``Progress``: the sizes are claims of remote senders, and nothing bounds their sum.
    var doneBytes = 0.0
    /// Nil when it is not known.
    let totalBytes: Int?

    /// `holiday/beach.jpg  37%  7.8 MB of 21.0 MB`, narrower than `columns`.
    func line(columns: Int) -> String {
        let done = Progress.amount(doneBytes)
        var figures = "  " + done
        if let totalBytes {
            let percent = totalBytes > 0 ? Int(min(1, doneBytes / Double(totalBytes)) * 100) : 100
            figures = "  \(percent)%  \(done) of \(Progress.amount(Double(totalBytes)))"
        }
        // A character may be two columns wide.
        let room = max(0, (columns - 1 - figures.count) / 2)
        let shown = name.count <= room ? name : "..." + name.suffix(max(0, room - 3))
        return String((shown + figures).prefix(max(0, columns - 1)))
    }
}
