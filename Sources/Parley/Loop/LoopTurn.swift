/// The work of one turn of a loop, and storage that every turn reuses. The loop's thread only.
///
/// A struct behind a pointer: every message uses it several times, and run-time checks for exclusive access
/// to a class's fields would cost more than the work itself.
struct LoopTurn {
    /// Submissions of the loop's own thread.
    var ownSubmissions: [EventLoop.Submission] = []
    /// Objects whose ``EndOfTurn/turnEnds()`` is called at the end of the turn.
    var endOfTurn: [any EndOfTurn] = []
    /// Whether anything has happened since the last ``EventLoop/pollsAgain()``.
    var hasHadEvent = false

    // Empty storage for the next turns.

    var spareSubmissions: [EventLoop.Submission] = []
    var spareEndOfTurn: [any EndOfTurn] = []

    /// Whether no work is left in this turn.
    var isDone: Bool { ownSubmissions.isEmpty && endOfTurn.isEmpty }
}
