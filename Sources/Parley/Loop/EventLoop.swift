import CLibUV
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// One `uv_loop_t`, its thread, and the door through which other threads hand it work.
///
/// Everything that touches libuv runs on this thread; the only libuv call made elsewhere is `uv_async_send`, under
/// the lock that also says whether the loop still runs, so it cannot race the handle's close
/// (<https://docs.libuv.org/en/v1.x/async.html>). A wake is sent only when the list of submissions was empty.
///
/// One turn: callbacks of sockets and timers, then submissions, jobs of Swift tasks that prefer this executor, and
/// last what asked for the end of the turn (peers with bytes to write), so that everything sent in one turn leaves
/// in one write. The thread is started by the first submission and ends with ``stop()``. Between turns it blocks, or
/// polls for a while first: `EventLoop+BusyPolling`.
package final class EventLoop: @unchecked Sendable {
    enum Submission {
        case work(() -> Void)
        case job(UnownedJob)
        case flush(any EndOfTurn)
    }

    struct SubmissionQueue {
        enum Phase { case idle, running, stopping, stopped }
        var phase = Phase.idle
        var submissions: [Submission] = []
        var stopped = WaitQueue()
        var endedCleanly: Bool?
        /// The loop polls without blocking, and looks here in each turn: nobody has to wake it.
        var isWatched = false
        /// How often it was woken; for tests.
        var wakes = 0
    }

    let submissionQueue = Lock(SubmissionQueue())
    /// `pthread_self()` of the loop's thread, zero while there is none.
    private let threadID = Atomic<UInt>(0)

    // The loop's thread only, from here on.

    let handles = LoopHandles()
    private var isStopping = false
    /// Nothing is taken in any more, also from the loop's own thread.
    private var isShut = false
    let turn: UnsafeMutablePointer<LoopTurn>
    /// What the loop's owner wants to find from the loop's thread without a search. Set before the loop starts; the
    /// loop neither looks into it nor keeps it alive.
    var localContext: UnsafeMutableRawPointer?

    /// What ``EventLoop/pollsAgain()`` goes by.
    let busyPollNanoseconds: UInt64
    var lastEvent: UInt64 = 0
    /// See ``emptyPolls``; written by the loop's thread only.
    let countedEmptyPolls = Atomic(0)
    /// What ``SubmissionQueue/isWatched`` says.
    var watchesQueue = false

    /// Where every socket of this loop reads to, one after the other.
    let readSlab = UnsafeMutableRawBufferPointer.allocate(byteCount: readSlabBytes, alignment: 64)
    static let readSlabBytes = 64 * 1024

    /// Whether the loop's thread is done, and left no handle open; nil before. Tests assert it.
    package var hasEndedCleanly: Bool? { submissionQueue.withLock { $0.endedCleanly } }

    /// Whether there is a thread, or was, or never will be.
    var hasStarted: Bool { submissionQueue.withLock { $0.phase != .idle } }

    /// - Parameter busyPoll: how long to poll without blocking after the last event; see ``TransportOptions/busyPoll``.
    package init(busyPoll: Duration? = nil) {
        busyPollNanoseconds = busyPoll.map { $0.inNanoseconds } ?? 0
        turn = .allocate(capacity: 1)
        turn.initialize(to: LoopTurn())
    }

    deinit {
        turn.deinitialize(count: 1)
        turn.deallocate()
        handles.deallocate()
        readSlab.deallocate()
    }

    /// Whether the caller is on the loop's thread.
    package var isCurrent: Bool { threadID.load(ordering: .relaxed) == currentThreadID() }

    /// Whether the caller is on the thread of some event loop: one that must never block.
    package static var isCurrentThreadALoop: Bool { pthread_getspecific(loopThreadKey) != nil }

    /// The loop whose thread the caller is on.
    static var current: EventLoop? {
        pthread_getspecific(loopThreadKey).map { Unmanaged.fromOpaque($0).takeUnretainedValue() }
    }

    /// What the loop's owner keeps for its thread; see ``localContext``.
    static var currentContext: UnsafeMutableRawPointer? {
        guard let loop = pthread_getspecific(loopThreadKey) else { return nil }
        return Unmanaged<EventLoop>.fromOpaque(loop).withBorrowed { $0.localContext }
    }

    /// Traps when called elsewhere: everything that libuv owns is this thread's alone.
    @inline(__always)
    func assertIsCurrent() { assert(isCurrent, "called off the event loop's thread") }

    /// The time at which this turn began, in milliseconds since some moment in the past: a look at it costs nothing.
    /// The loop's thread only.
    var milliseconds: UInt64 { uv_now(handles.loop) }

    /// The `uv_loop_t`, for those who make handles on it.
    var uv: UnsafeMutablePointer<uv_loop_t> { handles.loop }
}

// MARK: - Submitting work

extension EventLoop {
    /// Starts the thread if there is none yet.
    ///
    /// - Throws: ``ParleyError`` when the system has no descriptors or threads left, or after ``stop()``.
    package func start() throws(ParleyError) {
        try submissionQueue.withLock { queue throws(ParleyError) in try startLocked(&queue) }
    }

    /// Runs `work` on the loop's thread, after what was submitted before it.
    ///
    /// - Returns: false when the loop has stopped or cannot start; `work` is then dropped.
    @discardableResult
    package func execute(_ work: @escaping @Sendable () -> Void) -> Bool { submit(.work(work)) }

    /// The same, unless there is no thread yet: then there is nothing to do there.
    func executeIfStarted(_ work: @escaping @Sendable () -> Void) {
        if hasStarted { execute(work) }
    }

    /// Runs `work` on the loop's thread: at once when this is it.
    package func perform(_ work: @escaping @Sendable () -> Void) {
        if isCurrent { work() } else { execute(work) }
    }

    /// Calls `object` on the loop's thread when the turn's callbacks and jobs are done.
    @discardableResult
    func atEndOfTurn(_ object: any EndOfTurn) -> Bool {
        if isCurrent {
            turn.pointee.ending.append(object)
            return true
        }
        return submit(.flush(object))
    }

    func submit(_ submission: Submission) -> Bool {
        if isCurrent {
            guard !isShut else { return false }
            turn.pointee.local.append(submission)
            return true
        }
        return submissionQueue.withLock { queue in
            if queue.phase == .idle {
                do { try startLocked(&queue) } catch { return false }
            }
            guard queue.phase == .running else { return false }
            queue.submissions.append(submission)
            if queue.submissions.count == 1, !queue.isWatched {
                queue.wakes &+= 1
                uv_async_send(handles.wakeup)
            }
            return true
        }
    }

    /// Ends the loop when every handle on it is closed, and returns when its thread is done. Idempotent.
    ///
    /// Whoever owns handles closes them first; this waits for their close callbacks.
    package func stop() async {
        let isIdle = submissionQueue.withLock { queue in
            if queue.phase == .idle {
                queue.phase = .stopped
                queue.endedCleanly = true
            }
            return queue.phase == .stopped
        }
        if isIdle { return }
        execute { [self] in isStopping = true }
        // In a task of its own: also a cancelled caller has to see the end, before it frees what the thread uses.
        await Task { await waitForStop() }.value
    }

    private func waitForStop() async { _ = await submissionQueue.wait(in: \.stopped, unless: { $0.phase == .stopped }) }
}

// MARK: - The thread

extension EventLoop {
    private func startLocked(_ queue: inout SubmissionQueue) throws(ParleyError) {
        switch queue.phase {
        case .running: return
        case .stopping, .stopped: throw ParleyError(.closed, "the event loop has stopped")
        case .idle: break
        }
        try handles.open(owner: self)
        var thread = uv_thread_t()
        let entry: uv_thread_cb = { argument in
            Unmanaged<EventLoop>.fromOpaque(argument!).takeRetainedValue().run()
        }
        let status = uv_thread_create(&thread, entry, Unmanaged.passRetained(self).toOpaque())
        guard status == 0 else {
            Unmanaged.passUnretained(self).release()
            handles.close()
            uv_run(handles.loop, UV_RUN_DEFAULT)
            uv_loop_close(handles.loop)
            throw ParleyError(libuv: status, "cannot start the event loop's thread")
        }
        pthread_detach(thread)
        queue.phase = .running
    }

    private func run() {
        threadID.store(currentThreadID(), ordering: .relaxed)
        pthread_setspecific(loopThreadKey, Unmanaged.passUnretained(self).toOpaque())
        blockSIGPIPE()
        uv_run(handles.loop, UV_RUN_DEFAULT)
        let status = uv_loop_close(handles.loop)
        assert(status == 0, "the event loop ended with handles open")
        threadID.store(0, ordering: .relaxed)
        let (left, waiters) = submissionQueue.withLock { queue in
            queue.phase = .stopped
            queue.endedCleanly = status == 0
            defer { queue.submissions = [] }
            return (queue.submissions, queue.stopped.wakeAll())
        }
        for case .job(let job) in turn.pointee.local + left { runElsewhere(job) }
        turn.pointee.local = []
        waiters.resume()
    }

    /// libuv writes to sockets without MSG_NOSIGNAL; the process's own disposition is not ours to change.
    private func blockSIGPIPE() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Another thread has submitted something.
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

    /// How long jobs and flushes may go on before sockets are looked at again, in nanoseconds.
    private static let longestEndOfTurn: UInt64 = 100_000

    /// The last thing before the loop looks for I/O again.
    func finishTurn() {
        if watchesQueue, submissionQueue.withLock({ !$0.submissions.isEmpty }) { wokenUp() }
        // A task that always has more to do must not keep sockets waiting: what is left after a while gets a turn
        // that does not block.
        if !turn.pointee.isDone { goRound() }
        if !turn.pointee.isDone {
            // Most turns come without a look at the clock.
            let end = uv_hrtime() &+ Self.longestEndOfTurn
            repeat { goRound() } while !turn.pointee.isDone && uv_hrtime() < end
        }
        handles.setSpinning(!turn.pointee.isDone || busyPollNanoseconds > 0 && pollsAgain())
        if isStopping { closeQueue() }
    }

    /// Runs the jobs there are, and then what asked for the end of the turn.
    private func goRound() {
        if !turn.pointee.local.isEmpty {
            var jobs: [Submission] = []
            swap(&jobs, &turn.pointee.spareSubmissions)
            swap(&jobs, &turn.pointee.local)
            run(&jobs)
            swap(&jobs, &turn.pointee.spareSubmissions)
        }
        guard !turn.pointee.ending.isEmpty else { return }
        // Nearly always there is one.
        if turn.pointee.ending.count == 1 { return turn.pointee.ending.removeLast().turnEnds() }
        var ending: [any EndOfTurn] = []
        swap(&ending, &turn.pointee.spareEnding)
        swap(&ending, &turn.pointee.ending)
        for object in ending { object.turnEnds() }
        ending.removeAll(keepingCapacity: true)
        swap(&ending, &turn.pointee.spareEnding)
    }

    private func run(_ submissions: inout [Submission]) {
        for submission in submissions {
            switch submission {
            case .work(let work): work()
            case .job(let job): job.runSynchronously(on: asUnownedTaskExecutor())
            case .flush(let object): turn.pointee.ending.append(object)
            }
        }
        submissions.removeAll(keepingCapacity: true)
    }

    /// Refuses further submissions, runs those that made it, and closes the loop's own handles.
    private func closeQueue() {
        submissionQueue.withLock { $0.phase = .stopping }
        isShut = true
        var last: [Submission] = []
        swap(&turn.pointee.local, &last)
        run(&last)
        takeSubmissions()
        handles.close()
    }
}

/// Something that collects work during a turn of the loop and does it at once at the end.
protocol EndOfTurn: AnyObject, Sendable {
    /// On the loop's thread, once for each request.
    func turnEnds()
}

/// Set on the threads of event loops.
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
    /// Runs a Swift job on the loop's thread; once the loop has stopped, on Swift's own pool, since a job that is
    /// never run would hang its task.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if !submit(.job(job)) { runElsewhere(job) }
    }

    private func runElsewhere(_ job: UnownedJob) {
        Task.detached { [executor = asUnownedTaskExecutor()] in job.runSynchronously(on: executor) }
    }
}
