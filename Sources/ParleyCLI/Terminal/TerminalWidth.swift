/// How wide a line may be. The environment's word counts more than the terminal's, as for other tools.
enum TerminalWidth {
    /// - Parameters:
    ///   - variable: `COLUMNS`; nil when it is not set.
    ///   - terminal: what the terminal says, 0 when it says nothing.
    static func columns(variable: String?, terminal: Int) -> Int {
        if let columns = variable.flatMap({ Int($0) }), (1...10_000).contains(columns) { return columns }
        return terminal > 0 ? terminal : 80
    }

    /// Whether a terminal of this kind, `TERM`, can erase a line.
    static func canErase(kind: String?) -> Bool { !["dumb", "", nil].contains(kind) }
}
