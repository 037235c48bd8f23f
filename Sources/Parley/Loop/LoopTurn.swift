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
    /// Jobs of Swift tasks that wait.
    var jobs = JobLine()
    /// Counts the jobs that were run.
    var jobsRun: UInt64 = 0
    /// The task that runs as a job now, if it may call ``EventLoop/work(until:)``.
    var worker: UInt?
    /// Whether libuv runs now: it calls back or polls.
    var isPolling = false
    /// The wait for which a job runs turns now; nil when there is none. See ``EventLoop/work(until:)``.
    var awaited: UInt64?
    /// When that wait began, in milliseconds.
    var awaitedSince: UInt64 = 0
    /// What that wait was for, from a callback of this thread; see ``InboxQueue/offer(_:from:)``.
    var handed: RPC?
    /// Counts the turns.
    var number: UInt64 = 0
    /// Whether anything has happened since the last ``EventLoop/pollsAgain()``.
    var hasHadEvent = false

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
        jobs = JobLine()
        endOfTurn = []
        endOfNextTurn = []
    }
}

/// Jobs in the order in which they run.
struct JobLine {
    private var jobs: [UnownedJob] = []
    private var next = 0

    var count: Int { jobs.count &- next }
    var isEmpty: Bool { next == jobs.count }
    /// The length of the array, including the jobs that are taken, for tests.
    var placesHeld: Int { jobs.count }

    mutating func append(_ job: UnownedJob) { jobs.append(job) }

    mutating func removeFirst() -> UnownedJob? {
        guard next < jobs.count else { return nil }
        let job = jobs[next]
        next &+= 1
        if next == jobs.count {
            jobs.empty(keeping: 1_024)
            next = 0
        } else if next >= 64, next &* 2 >= jobs.count {
            // It may never be empty.
            jobs.removeFirst(next)
            next = 0
        }
        return job
    }
}
