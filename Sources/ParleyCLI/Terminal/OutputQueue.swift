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
/// Nothing is left out. Whoever writes more than ``maxBytes`` ahead waits, until the process is about to end.
final class OutputQueue: Sendable {
    static let shared = OutputQueue()

    private static let maxBytes = 1 << 20

    private struct Piece {
        let bytes: [UInt8]
        let descriptor: Int32
    }

    private struct State {
        var pieces: [Piece] = []
        /// Of the pieces, and of the one that is being written.
        var byteCount = 0
        var isWriting = false
        var mayWait = true
        var waiting: [DispatchSemaphore] = []
        var closed: Set<Int32> = []
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "parley.output")

    /// Whether something is not written yet.
    var isBusy: Bool { state.withLock { $0.byteCount > 0 } }

    /// Adds bytes, in the order of the calls. Does not wait.
    func add(_ bytes: [UInt8], to descriptor: Int32) {
        guard !bytes.isEmpty else { return }
        let begins = state.withLock { state in
            guard !state.closed.contains(descriptor) else { return false }
            state.pieces.append(Piece(bytes: bytes, descriptor: descriptor))
            state.byteCount += bytes.count
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if begins { queue.async { self.write() } }
    }

    /// Waits while too much is not written.
    func waitForRoom() { wait(until: .distantFuture) { $0.mayWait && $0.byteCount > Self.maxBytes } }

    /// Waits until everything is written, as every program does for its reader. After ``stopWaiting()`` for
    /// at most two seconds.
    func flush() {
        wait(until: .distantFuture) { $0.mayWait && $0.byteCount > 0 }
        wait(until: .now() + .seconds(2)) { $0.byteCount > 0 }
    }

    /// From now on nobody waits for room: the process is to end.
    func stopWaiting() {
        let waiting = state.withLock { state in
            state.mayWait = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for semaphore in waiting { semaphore.signal() }
    }

    private func wait(until deadline: DispatchTime, while isSo: (State) -> Bool) {
        while true {
            let semaphore = DispatchSemaphore(value: 0)
            let mustWait = state.withLock { state in
                guard isSo(state) else { return false }
                state.waiting.append(semaphore)
                return true
            }
            guard mustWait, semaphore.wait(timeout: deadline) == .success else { return }
        }
    }

    /// Writes piece by piece, until there is none.
    private func write() {
        while let piece = next() {
            let isWritten = (try? writeAll(piece.bytes, to: piece.descriptor)) != nil
            let waiting = state.withLock { state in
                state.byteCount -= piece.bytes.count
                if !isWritten { state.closed.insert(piece.descriptor) }
                defer { state.waiting = [] }
                return state.waiting
            }
            for semaphore in waiting { semaphore.signal() }
            if !isWritten, piece.descriptor == STDOUT_FILENO { Interruption.standardOutputClosed() }
        }
    }

    private func next() -> Piece? {
        state.withLock { state in
            guard !state.pieces.isEmpty else {
                state.isWriting = false
                return nil
            }
            return state.pieces.removeFirst()
        }
    }
}
