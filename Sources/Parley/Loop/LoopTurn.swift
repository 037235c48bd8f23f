/// The work of one turn of a loop, and storage that every turn reuses. The loop's thread only.
///
/// A struct behind a pointer: every message uses it several times, and run-time checks for exclusive access
/// to a class's fields would cost more than the work itself.
struct LoopTurn {
    /// Submissions of the loop's own thread.
    var ownSubmissions: [EventLoop.Submission] = []
    /// Objects whose ``EndOfTurn/turnEnds()`` is called at the end of the turn.
    var endOfTurn: [any EndOfTurn] = []
    /// The same at the end of the next turn.
    var endOfNextTurn: [any EndOfTurn] = []
    /// Jobs of Swift tasks that are to be run.
    var jobs = Line<UnownedJob>(keeping: 1_024)
    /// Counts the jobs whose run has begun.
    var jobsRun: UInt64 = 0
    /// The task that runs as a job now, if it may call ``EventLoop/work(until:)``.
    var worker: UInt?
    /// Whether the thread is inside of `uv_run`.
    var isPolling = false
    /// What a job waits for while it runs turns; see ``EventLoop/work(until:)``. Nil when none does.
    var wait: Wait?
    /// An RPC that is handed to the job that runs turns, past the queue; see ``InboxQueue/offer(_:from:)``.
    var handed: RPC?
    /// Counts the turns.
    var number: UInt64 = 0
    /// Whether anything has happened since the last ``EventLoop/pollsAgain()``.
    var hasHadEvent = false

    struct Wait {
        /// The number of the waiter that is to be woken.
        let ticket: UInt64
        /// When the wait began, in milliseconds.
        let began: UInt64
    }

    // Empty storage for the next turns.

    var spareSubmissions: [EventLoop.Submission] = []
    var spareEndOfTurn: [any EndOfTurn] = []

    /// Whether no work is left in this turn.
    var isDone: Bool { ownSubmissions.isEmpty && endOfTurn.isEmpty }

    /// Ends this turn. What was left for the next one is to be done at its end.
    mutating func beginNext() {
        number &+= 1
        guard !endOfNextTurn.isEmpty else { return }
        endOfTurn += endOfNextTurn
        endOfNextTurn.removeAll(keepingCapacity: true)
    }

    /// Lets go of everything that is still to be done: it may keep the loop alive.
    mutating func dropEverything() {
        ownSubmissions = []
        endOfTurn = []
        endOfNextTurn = []
    }
}
