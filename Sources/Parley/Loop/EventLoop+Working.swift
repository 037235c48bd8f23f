// A task on the loop's thread that has to wait runs turns of the loop meanwhile.
//
// To suspend a task and to resume it as a job takes the Swift runtime some 4,000 instructions, more than the
// library takes for a short message. A task that is not suspended, but calls libuv, pays none of them.

import CLibUV

extension EventLoop: WorkingWaiter {
    /// The loop on whose thread the caller runs, if it may call ``work(until:)`` instead of suspending.
    ///
    /// Whoever asks is no part of an actor: that would be occupied meanwhile.
    static var working: EventLoop? {
        guard let loop = current, loop.mayWork else { return nil }
        return loop
    }

    /// Whether the current task may work: it is the job that runs now, and neither a callback of libuv nor
    /// another task is below it on the stack; no other job waits until it suspends; it is not cancelled.
    private var mayWork: Bool {
        guard let worker = turn.pointee.worker, turn.pointee.jobs.isEmpty, !turn.pointee.isPolling,
            !refusesSubmissions
        else { return false }
        return withUnsafeCurrentTask(body: id) == worker && !Task.isCancelled
    }

    /// Runs turns until somebody wakes `ticket`, or until it is better to suspend: another job has to run, or
    /// nothing has come for a while. A task that is cancelled meanwhile is not woken: it finds out then.
    ///
    /// - Returns: false when it is better to suspend.
    func work(until ticket: UInt64) -> Bool {
        turn.pointee.awaited = ticket
        turn.pointee.awaitedSince = milliseconds
        if uv_is_active(clibuv_timer_as_handle(handles.patience)) == 0 { startPatience(Self.patience) }
        _ = runTurns()
        guard turn.pointee.awaited != nil else { return true }
        turn.pointee.awaited = nil
        turn.pointee.worker = nil
        return false
    }

    func wake(_ ticket: UInt64) {
        guard isCurrent else {
            execute { [self] in wakeWorking(ticket) }
            return
        }
        wakeWorking(ticket)
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
        guard turn.pointee.awaited != nil else { return }
        let waited = milliseconds &- turn.pointee.awaitedSince
        if waited >= Self.patience { endTurns() } else { startPatience(Self.patience &- waited) }
    }

    private func wakeWorking(_ ticket: UInt64) {
        guard turn.pointee.awaited == ticket else { return }
        turn.pointee.awaited = nil
        endTurns()
    }
}

/// The suspension of a task. It finds out whether the task may let its loop work when it waits again.
///
/// A task that was resumed as a job of a loop has nothing of anybody else below it on the stack. Before its
/// first suspension it may have: `Task.immediate` runs it inside its caller. (So does an executor of the
/// program that runs jobs inside `enqueue`. Its caller then waits while the task works.)
struct Suspension {
    private let began: UInt64
    private let job: UInt64

    init() {
        let loop = EventLoop.current
        began = loop?.milliseconds ?? 0
        job = loop?.turn.pointee.jobsRun ?? 0
    }

    /// The task goes on. It may work from now on if it was resumed by the next job of this loop, so that it
    /// is the only busy one, and soon: otherwise it would only work in vain first.
    func end() {
        guard let loop = EventLoop.current, loop.turn.pointee.jobsRun == job &+ 1 else { return }
        let isSoon = loop.milliseconds &- began <= EventLoop.patience / 2
        loop.turn.pointee.worker = isSoon ? withUnsafeCurrentTask(body: id) : nil
    }
}

/// A number that tells a task from others that are alive; zero for none.
private func id(_ task: UnsafeCurrentTask?) -> UInt { unsafeBitCast(task, to: UInt.self) }
