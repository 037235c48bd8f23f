// The thread of one libuv loop, and how other threads submit work to it.

import CLibUV
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// One `uv_loop_t`, its thread, and the locked queue by which other threads submit work.
///
/// Once the thread runs, every call on the loop and its handles is made on it, except `uv_async_send`. That
/// call is made under the lock that also tells whether the loop runs, so it cannot race the handle's close
/// (<https://docs.libuv.org/en/v1.x/async.html>). It is made only when the queue of submissions was empty.
///
/// One turn runs the callbacks of sockets, of timers and of the wake-up (which runs what other threads have
/// submitted), then jobs of Swift tasks that prefer this executor and what this thread itself has submitted,
/// and last the end-of-turn work (peers with bytes to write). So everything sent in one turn leaves in one
/// write. The first submission starts the thread; ``stop()`` ends it. Between turns it blocks, or polls for a
/// while first (`EventLoop+BusyPolling`).
///
/// Jobs run outside of `uv_run`, which returns when there are some. So a task that has to wait may call
/// `uv_run` itself instead of being suspended (`EventLoop+Working`).
package final class EventLoop: @unchecked Sendable {
    enum Submission {
        case work(() -> Void)
        case job(UnownedJob)
        case endOfTurn(any EndOfTurn)
    }

    struct SubmissionQueue {
        enum Phase: Equatable {
            /// The thread was not started.
            case idle
            case running
            /// Nothing more is accepted.
            case stopping
            /// The thread has ended. `cleanly`: with every handle closed.
            case stopped(cleanly: Bool)
        }
        var phase = Phase.idle
        var submissions: [Submission] = []
        /// Callers of ``EventLoop/stop()``.
        var stopWaiters = WaitQueue()
        /// Whether the loop polls without blocking and checks this queue in each turn: no wake is needed
        /// then.
        var isPolled = false
        /// How many wakes were sent, for tests.
        var wakes = 0

        var isStopped: Bool { if case .stopped = phase { true } else { false } }
    }

    /// How far the end is, as the loop's thread knows it.
    private enum Ending {
        case no
        /// ``stop()`` was called. What was promised is waited for.
        case requested
        /// Submissions are refused, also from the loop's own thread.
        case begun
    }

    /// What an observer lends to a callback of the program while it runs.
    package struct Lent {
        /// Nil when no callback runs.
        package var current: UnsafeRawPointer?
        /// Counts the callbacks, so that what was lent to an earlier one is known as that.
        package var calls: UInt = 0
    }

    /// The name of the thread.
    private let name: String
    let submissionQueue = Lock(SubmissionQueue())
    /// `pthread_self()` of the loop's thread; zero while there is none.
    private let threadID = Atomic<UInt>(0)

    // What follows is used on the loop's thread only.

    let handles = LoopHandles()
    private var ending = Ending.no
    let turn: UnsafeMutablePointer<LoopTurn>
    /// What the loop's owner keeps for code on the loop's thread; see ``keep(_:freeing:)``.
    private var kept: UnsafeMutableRawPointer?
    private var freeKept: () -> Void = {}

    /// How long the loop polls without blocking after the last event; zero is not at all.
    let busyPollNanoseconds: UInt64
    /// When the last event was seen, in nanoseconds of `uv_hrtime`.
    var lastEvent: UInt64 = 0
    /// How many functions that ``promise(_:)`` has returned were not called yet.
    private let promises = Atomic(0)
    /// The value of ``emptyPolls``. Only the loop's thread writes it.
    let countedEmptyPolls = Atomic(0)
    /// The loop thread's copy of ``SubmissionQueue/isPolled``.
    var pollsQueue = false

    /// The buffer that all sockets of this loop read into, one after the other.
    @exclusivity(unchecked) var readSlab = ReadSlab()
    /// A timer that nobody uses: each dial needs one for a short time.
    @exclusivity(unchecked) var spareTimer: LoopTimer?
    /// What an observer has lent to the callback of the program that runs now. The loop itself
    /// does not use it.
    package let lent = UnsafeMutablePointer<Lent>.allocate(capacity: 1)

    /// Whether the loop's thread ended with every handle closed; nil before it ended. Tests assert it.
    package var hasEndedCleanly: Bool? {
        if case .stopped(let cleanly) = submissionQueue.withLock({ $0.phase }) { cleanly } else { nil }
    }

    /// Whether submissions of the loop's own thread are refused. That thread only.
    var refusesSubmissions: Bool { ending == .begun }

    /// Whether the thread was started, or the loop was stopped before that.
    var hasStarted: Bool { submissionQueue.withLock { $0.phase != .idle } }

    /// - Parameters:
    ///   - name: the name of the thread.
    ///   - busyPoll: how long to poll without blocking after the last event; see
    ///     ``TransportOptions/busyPoll``.
    package init(name: String = "parley loop", busyPoll: Duration? = nil) {
        self.name = name
        busyPollNanoseconds = busyPoll.map { $0.inNanoseconds } ?? 0
        turn = .allocate(capacity: 1)
        turn.initialize(to: LoopTurn())
        lent.initialize(to: Lent(calls: firstLent.add(1 << 32, ordering: .relaxed).newValue))
    }

    deinit {
        freeKept()
        lent.deallocate()
        turn.deinitialize(count: 1)
        turn.deallocate()
        handles.deallocate()
    }

    /// Whether the caller runs on the loop's thread.
    package var isCurrent: Bool { threadID.load(ordering: .relaxed) == currentThreadID() }

    /// Whether the caller runs on the thread of any event loop. Such a thread must never block.
    package static var isCurrentThreadALoop: Bool { pthread_getspecific(loopThreadKey) != nil }

    /// The value of ``lent`` of the loop on whose thread the caller runs; nil on other threads.
    package static var lentOnThisThread: Lent? { current?.lent.pointee }

    /// The loop on whose thread the caller runs; nil on other threads.
    static var current: EventLoop? {
        pthread_getspecific(loopThreadKey).map { Unmanaged.fromOpaque($0).takeUnretainedValue() }
    }

    /// Keeps what code on the loop's thread finds by ``keptOnThisThread``, until the loop is gone: its thread
    /// may run longer than the owner lives. Called once, before the loop starts. The loop does not use it.
    func keep(_ pointer: UnsafeMutableRawPointer, freeing: @escaping () -> Void) {
        (kept, freeKept) = (pointer, freeing)
    }

    /// What the loop keeps on whose thread the caller runs; nil on other threads.
    static var keptOnThisThread: UnsafeMutableRawPointer? {
        guard let loop = pthread_getspecific(loopThreadKey) else { return nil }
        return Unmanaged<EventLoop>.fromOpaque(loop).withBorrowed { $0.kept }
    }

    /// Traps in debug builds when called on another thread. libuv's structures belong to the loop's thread.
    @inline(__always)
    func assertIsCurrent() { assert(isCurrent, "called off the event loop's thread") }

    /// The time at which this turn began, in milliseconds since an arbitrary moment. libuv caches it: reading
    /// it is free. The loop's thread only.
    var milliseconds: UInt64 { uv_now(handles.loop) }

    /// The number of this turn. The sockets were polled once since the last one. The loop's thread only.
    var turnNumber: UInt64 { turn.pointee.number }

    /// The `uv_loop_t`, for making handles on it.
    var uv: UnsafeMutablePointer<uv_loop_t> { handles.loop }
}

// MARK: - Ending

extension EventLoop {
    /// A function that runs `work` on the loop's thread, for whoever will call it once. The loop does not end
    /// before: between its removal from a queue and its call, a waiter is known to nobody else.
    ///
    /// ``breakPromise()`` follows when it is not called after all.
    func promise(_ work: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
        promises.add(1, ordering: .relaxed)
        return { [self] in
            execute { [self] in
                promises.subtract(1, ordering: .relaxed)
                work()
            }
        }
    }

    func breakPromise() {
        if promises.subtract(1, ordering: .relaxed).newValue == 0 { execute {} }
    }

    /// Ends the loop and returns when its thread has ended. Idempotent.
    ///
    /// The owners of handles have to close them first: the thread ends after the last close callback.
    package func stop() async {
        let isStopped = submissionQueue.withLock { queue in
            if queue.phase == .idle { queue.phase = .stopped(cleanly: true) }
            return queue.isStopped
        }
        if isStopped { return }
        execute { [self] in if ending == .no { ending = .requested } }
        // A task of its own is not cancelled with the caller: the caller frees what the thread uses after
        // this.
        await Task { await waitForStop() }.value
    }

    private func waitForStop() async {
        _ = await submissionQueue.wait(in: \.stopWaiters, unless: \.isStopped)
    }
}

// MARK: - The thread

extension EventLoop {
    /// Starts the thread; the queue's lock is held.
    func startLocked(_ queue: inout SubmissionQueue) throws(ParleyError) {
        switch queue.phase {
        case .running: return
        case .stopping, .stopped: throw ParleyError(.closed, "the event loop has stopped")
        case .idle: break
        }
        occupyStandardDescriptors()
        try handles.open(owner: self)
        let status = LibraryThread.start(name) { [self] in run() }
        guard status == 0 else {
            handles.close()
            uv_run(handles.loop, UV_RUN_DEFAULT)
            uv_loop_close(handles.loop)
            throw ParleyError(errno: status, "cannot start the event loop's thread")
        }
        queue.phase = .running
    }

    /// The thread's main function.
    private func run() {
        threadID.store(currentThreadID(), ordering: .relaxed)
        pthread_setspecific(loopThreadKey, Unmanaged.passUnretained(self).toOpaque())
        repeat { runJobs() } while runTurns()
        let status = uv_loop_close(handles.loop)
        assert(status == 0, "the event loop ended with handles open")
        threadID.store(0, ordering: .relaxed)
        let waiters = submissionQueue.withLock { queue in
            queue.phase = .stopped(cleanly: status == 0)
            queue.submissions = []
            return queue.stopWaiters.wakeAll()
        }
        while let job = turn.pointee.jobs.popFirst() { runElsewhere(job) }
        turn.pointee.dropEverything()
        waiters.resume()
    }

    /// Runs turns until there are jobs to run, or ``work(until:)`` is over.
    ///
    /// - Returns: whether the loop has handles left.
    func runTurns() -> Bool {
        turn.pointee.isPolling = true
        defer { turn.pointee.isPolling = false }
        return uv_run(handles.loop, UV_RUN_DEFAULT) != 0
    }

    /// Runs the waiting jobs, and what they submit.
    private func runJobs() { runInTime(while: { !turn.pointee.jobs.isEmpty }) { runJobsOnce() } }

    private func runJobsOnce() {
        // Jobs that these add run the next time.
        for _ in 0..<turn.pointee.jobs.count {
            guard let job = turn.pointee.jobs.popFirst() else { break }
            turn.pointee.jobsRun &+= 1
            job.runSynchronously(on: asUnownedTaskExecutor())
            turn.pointee.worker = nil
        }
        runSubmissionsAndEndOfTurn()
    }

    /// How long jobs, submissions and end-of-turn work may run before sockets are polled again, in
    /// nanoseconds.
    private static let longestEndOfTurn: UInt64 = 100_000

    /// Calls `body` while something is left, but not for long: endless submissions must not starve the
    /// sockets. What is left after ``longestEndOfTurn`` runs after a poll that does not block.
    @inline(__always)
    private func runInTime(while isLeft: () -> Bool, _ body: () -> Void) {
        guard isLeft() else { return }
        body()
        // Usually nothing is left by now, and the clock need not be read.
        guard isLeft() else { return }
        let end = uv_hrtime() &+ Self.longestEndOfTurn
        repeat { body() } while isLeft() && uv_hrtime() < end
    }

    /// Adds a job, which runs when libuv has returned. The loop's thread only.
    private func add(_ job: UnownedJob) {
        turn.pointee.jobs.append(job)
        endTurns()
    }

    /// Makes ``runTurns()`` return after this turn's callbacks. The loop's thread only.
    func endTurns() {
        // Called at other times, uv_stop would make the next uv_run return at once.
        if turn.pointee.isPolling { uv_stop(handles.loop) }
    }

    /// Called when another thread has submitted something.
    func wokenUp() {
        noteEvent()
        takeSubmissions()
    }

    /// Runs what other threads have submitted.
    private func takeSubmissions() {
        var arrived: [Submission] = []
        swap(&arrived, &turn.pointee.spareSubmissions)
        submissionQueue.withLock { swap(&$0.submissions, &arrived) }
        run(&arrived)
        swap(&arrived, &turn.pointee.spareSubmissions)
    }

    /// Ends a turn: runs submissions and end-of-turn work. libuv calls it right before each poll.
    func finishTurn() {
        if pollsQueue, submissionQueue.withLock({ !$0.submissions.isEmpty }) { wokenUp() }
        runInTime(while: { !turn.pointee.isDone }) { runSubmissionsAndEndOfTurn() }
        turn.pointee.beginNext()
        // Jobs are left that had no time.
        if !turn.pointee.jobs.isEmpty { endTurns() }
        handles.setSpinning(!turn.pointee.isDone || busyPollNanoseconds > 0 && pollsAgain())
        if ending == .requested, promises.load(ordering: .relaxed) == 0 { closeQueue() }
    }

    /// Runs the waiting submissions once, and then the end-of-turn work.
    private func runSubmissionsAndEndOfTurn() {
        if !turn.pointee.ownSubmissions.isEmpty {
            var submissions: [Submission] = []
            swap(&submissions, &turn.pointee.spareSubmissions)
            swap(&submissions, &turn.pointee.ownSubmissions)
            run(&submissions)
            swap(&submissions, &turn.pointee.spareSubmissions)
        }
        guard !turn.pointee.endOfTurn.isEmpty else { return }
        // The common case: one object, and no array to swap.
        if turn.pointee.endOfTurn.count == 1 { return turn.pointee.endOfTurn.removeLast().turnEnds() }
        var objects: [any EndOfTurn] = []
        swap(&objects, &turn.pointee.spareEndOfTurn)
        swap(&objects, &turn.pointee.endOfTurn)
        for object in objects { object.turnEnds() }
        objects.empty(keeping: .max)
        swap(&objects, &turn.pointee.spareEndOfTurn)
    }

    private func run(_ submissions: inout [Submission]) {
        for submission in submissions {
            switch submission {
            case .work(let work): work()
            case .job(let job): add(job)
            case .endOfTurn(let object): turn.pointee.endOfTurn.append(object)
            }
        }
        submissions.empty(keeping: .max)
    }

    /// Refuses further submissions, runs those that were accepted, and closes the loop's own handles.
    private func closeQueue() {
        submissionQueue.withLock { $0.phase = .stopping }
        ending = .begun
        // From now on other threads cannot wake a task that works.
        endTurns()
        var last: [Submission] = []
        swap(&turn.pointee.ownSubmissions, &last)
        run(&last)
        takeSubmissions()
        spareTimer.take()?.close()
        handles.close()
    }
}

/// Where a loop begins to count what it lends: no two loops have a number in common.
private let firstLent = Atomic<UInt>(0)

/// The thread-specific key under which the thread of an event loop finds its ``EventLoop``.
private let loopThreadKey: pthread_key_t = {
    var key = pthread_key_t()
    precondition(pthread_key_create(&key, nil) == 0, "no thread-specific key is left")
    return key
}()

private func currentThreadID() -> UInt {
    #if canImport(Darwin)
        UInt(bitPattern: pthread_self())
    #else
        UInt(pthread_self())
    #endif
}

// MARK: - Swift tasks on the loop's thread

extension EventLoop: TaskExecutor {
    /// Runs a Swift job on the loop's thread. After the loop has stopped the job runs on Swift's global pool:
    /// a job that never runs would hang its task.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent, !refusesSubmissions { return add(job) }
        if !submit(.job(job)) { runElsewhere(job) }
    }

    private func runElsewhere(_ job: UnownedJob) {
        Task.detached { [executor = asUnownedTaskExecutor()] in job.runSynchronously(on: executor) }
    }
}
