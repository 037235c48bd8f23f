import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Writes to the standard descriptors on a thread of its own: a terminal that shows nothing, or a pipe that
/// nobody reads, holds up neither a signal nor a transfer.
///
/// Whoever has much to say waits for room between its lines, and holds up nothing but itself. Lines that do
/// not wait are left out when there are far too many of them, and counted.
final class OutputQueue: Sendable {
    /// That of standard output.
    static let results = OutputQueue()
    /// That of standard error: the same one where both go to the same place, so that all keeps its order.
    static let errors = isSamePlace(STDOUT_FILENO, STDERR_FILENO) ? results : OutputQueue()

    /// With more than this unwritten, ``waitForRoom()`` waits. A log takes half of it.
    static let roomBytes = 1 << 20
    /// With more than this unwritten, lines are left out.
    static let mostBytes = 16 << 20

    private struct Piece {
        let bytes: [UInt8]
        let descriptor: Int32
    }

    private struct State {
        var pieces: ArraySlice<Piece> = []
        /// Of the pieces, and of the one that is being written.
        var byteCount = 0
        var leftOut = 0
        var isWriting = false
        var mayWait = true
        /// Threads that wait until everything is written, and tasks that wait for room.
        var threads: [DispatchSemaphore] = []
        var tasks: [CheckedContinuation<Void, Never>] = []
        var closed: Set<Int32> = []

        var hasRoom: Bool { !mayWait || byteCount <= roomBytes }
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "parley.output")
    private let notes: Int32

    /// - Parameter notes: the descriptor that hears how many lines were left out.
    init(reportingTo notes: Int32 = STDERR_FILENO) { self.notes = notes }

    /// Whether something is not written yet.
    var isBusy: Bool { state.withLock { $0.byteCount > 0 } }

    /// Adds a line, in the order of the calls. Does not wait.
    ///
    /// - Parameter limit: with more bytes than this unwritten it is left out.
    func add(_ bytes: [UInt8], to descriptor: Int32, limit: Int = mostBytes) {
        guard !bytes.isEmpty else { return }
        let begins = state.withLock { state in
            guard !state.closed.contains(descriptor) else { return false }
            guard state.byteCount <= limit else {
                state.leftOut += 1
                return false
            }
            return Self.add(Piece(bytes: bytes, descriptor: descriptor), &state)
        }
        if begins { queue.async { self.write() } }
    }

    /// Returns whether somebody has to begin to write.
    private static func add(_ piece: Piece, _ state: inout State) -> Bool {
        state.pieces.append(piece)
        state.byteCount += piece.bytes.count
        defer { state.isWriting = true }
        return !state.isWriting
    }

    /// Waits while too much is not written; not when the process is to end, nor when the task is cancelled.
    func waitForRoom() async {
        guard !state.withLock({ $0.hasRoom }) else { return }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    guard !state.hasRoom, !Task.isCancelled else { return true }
                    state.tasks.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            // All of them: each of the others writes one line more.
            resumeTasks()
        }
    }

    private func resumeTasks() {
        let tasks = state.withLock { state in
            defer { state.tasks = [] }
            return state.tasks
        }
        for task in tasks { task.resume() }
    }

    /// Waits until everything is written, as every program does for its reader. After ``stopWaiting()`` for
    /// at most two seconds.
    func flush() {
        wait(until: .distantFuture) { $0.mayWait && $0.byteCount > 0 }
        wait(until: .now() + .seconds(2)) { $0.byteCount > 0 }
    }

    /// From now on nobody waits for room: the process is to end.
    func stopWaiting() {
        signalThreads { $0.mayWait = false }
        resumeTasks()
    }

    private func signalThreads(_ change: (inout State) -> Void) {
        let threads = state.withLock { state in
            change(&state)
            defer { state.threads = [] }
            return state.threads
        }
        for thread in threads { thread.signal() }
    }

    private func wait(until deadline: DispatchTime, while isSo: (State) -> Bool) {
        while true {
            let semaphore = DispatchSemaphore(value: 0)
            let mustWait = state.withLock { state in
                guard isSo(state) else { return false }
                state.threads.append(semaphore)
                return true
            }
            guard mustWait, semaphore.wait(timeout: deadline) == .success else { return }
        }
    }

    /// Writes piece by piece, until there is none.
    private func write() {
        while let piece = next() {
            var failure: SystemError?
            do throws(SystemError) { try writeAll(piece.bytes, to: piece.descriptor) } catch {
                failure = error
            }
            if let failure {
                state.withLock { _ = $0.closed.insert(piece.descriptor) }
                // Before the piece counts as written: whoever waits for that ends the process next.
                if piece.descriptor == STDOUT_FILENO { Interruption.standardOutputFailed(failure) }
            }
            signalThreads { state in
                state.byteCount -= piece.bytes.count
                reportLeftOut(&state)
            }
            if state.withLock({ $0.hasRoom }) { resumeTasks() }
        }
    }

    private func reportLeftOut(_ state: inout State) {
        guard state.leftOut > 0, state.byteCount <= Self.roomBytes, !state.closed.contains(notes) else {
            return
        }
        let line = "parley: \(state.leftOut) lines were left out, since nobody read them\n"
        state.leftOut = 0
        _ = Self.add(Piece(bytes: Array(line.utf8), descriptor: notes), &state)
    }

    private func next() -> Piece? {
        state.withLock { state in
            if state.pieces.isEmpty { state.isWriting = false }
            return state.pieces.popFirst()
        }
    }
}

/// Whether two descriptors are open on the same file, pipe or terminal.
private func isSamePlace(_ one: Int32, _ other: Int32) -> Bool {
    var (first, second) = (stat(), stat())
    guard fstat(one, &first) == 0, fstat(other, &second) == 0 else { return false }
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino
}
