// A task on the loop's thread works while it waits: it runs turns of the loop.
//
// To suspend a task and to resume it as a job takes the Swift runtime some 4,000 instructions, more than the
// library takes for a short message. A task that works is not suspended and pays none of them.
//
// Callbacks of libuv then run inside of that task. So the tasks that they start are detached: others would
// inherit its task-local values.

import CLibUV

extension EventLoop: WorkingWaiter {
    /// The loop on whose thread the caller runs, if the current task may call ``work(until:)`` there.
    ///
    /// A caller that is part of an actor must not: the actor would be occupied while its task works.
    static var working: EventLoop? {
        guard let loop = current, loop.mayWork else { return nil }
        return loop
    }

    /// Whether the current task may work. It is the job that runs now, with no callback of libuv and no other
    /// task below it on the stack; no other job waits for the thread; and it is not cancelled.
    private var mayWork: Bool {
        guard let worker = turn.pointee.worker, turn.pointee.jobs.isEmpty, !turn.pointee.isPolling,
            !refusesSubmissions
        else { return false }
        return withUnsafeCurrentTask(body: id) == worker && !Task.isCancelled
    }

    /// Runs turns until somebody wakes `ticket`, or until it is better to suspend: another job is to run, or
    /// nothing has come for ``patience``. A task that is cancelled meanwhile goes on working for that long.
    ///
    /// - Returns: false when it is better to suspend.
    func work(until ticket: UInt64) -> Bool {
        turn.pointee.wait = LoopTurn.Wait(ticket: ticket, began: milliseconds)
        if uv_is_active(clibuv_timer_as_handle(handles.patience)) == 0 { startPatience(Self.patience) }
        _ = runTurns()
        guard turn.pointee.wait != nil else { return true }
        turn.pointee.wait = nil
        turn.pointee.worker = nil
        return false
    }

    func wake(_ ticket: UInt64) {
        // Without a closure where none is needed: this is part of most messages.
        if isCurrent { endWait(for: ticket) } else { execute { [self] in endWait(for: ticket) } }
    }

    private func endWait(for ticket: UInt64) {
        guard turn.pointee.wait?.ticket == ticket else { return }
        turn.pointee.wait = nil
        endTurns()
    }

    /// How long a task works while nothing comes, in milliseconds. A time-out that is the next thing for
    /// which the core's clock has to be set costs each poll several microseconds: the kernel sets the clock,
    /// and takes that back. One of 2 ms did so, this one does not.
    static let patience: UInt64 = 20

    /// The timer is not started for each wait: when it fires, it waits for what is left of the current one.
    private func startPatience(_ milliseconds: UInt64) {
        uv_timer_start(
            handles.patience,
            {
                Unmanaged<EventLoop>.fromOpaque($0!.pointee.data).withBorrowed { $0.patienceIsOver() }
            },
            milliseconds,
            0
        )
    }

    private func patienceIsOver() {
        guard let wait = turn.pointee.wait else { return }
        let waited = milliseconds &- wait.began
        if waited >= Self.patience { endTurns() } else { startPatience(Self.patience &- waited) }
    }
}

/// The suspension of a task, which decides whether the task may work when it waits again.
///
/// A task must have been suspended once. Until then it may be a `Task.immediate`, which runs on top of its
/// caller on the stack, and the caller would have to wait while it works. A task that was resumed as a job of
/// a loop has no caller below it. (Unless the program has an executor that runs jobs inside `enqueue`.)
struct Suspension {
    private let began: UInt64
    private let job: UInt64

    init() {
        let loop = EventLoop.current
        began = loop?.milliseconds ?? 0
        job = loop?.turn.pointee.jobsRun ?? 0
    }

    /// The task goes on. It may work from now on if it is the only busy one (its own was the next job of the
    /// loop) and was resumed soon. Otherwise it would often work for nothing and be suspended all the same.
    func end() {
        guard let loop = EventLoop.current, loop.turn.pointee.jobsRun == job &+ 1 else { return }
        let isSoon = loop.milliseconds &- began <= EventLoop.patience / 2
        loop.turn.pointee.worker = isSoon ? withUnsafeCurrentTask(body: id) : nil
    }
}

/// A number that tells a task from others that are alive; zero for none.
private func id(_ task: UnsafeCurrentTask?) -> UInt { unsafeBitCast(task, to: UInt.self) }
