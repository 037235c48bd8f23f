import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// A child process, with a pipe to its standard input and one from its standard output.
///
/// It replaces Foundation's `Process`, which leaves a run loop's descriptors in every thread that touches it:
/// these programs count descriptors.
public final class ChildProcess: Sendable {
    /// The process id.
    public let id: pid_t
    private let input: Int32
    private let state = NSCondition()
    private nonisolated(unsafe) var endStatus: Int32?
    private nonisolated(unsafe) var waiting: [CheckedContinuation<Int32, Never>] = []
    private nonisolated(unsafe) var isInputOpen = true

    /// The path of this program.
    public static var ownExecutable: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
            ?? CommandLine.arguments[0]
    }

    /// Starts `executable`. `heard` is called with each line that it prints, on a thread of its own.
    public init(
        _ executable: String = ChildProcess.ownExecutable,
        arguments: [String],
        heard: @escaping @Sendable (String) -> Void
    ) throws {
        var (toChild, fromChild): ([Int32], [Int32]) = ([0, 0], [0, 0])
        guard Self.makePipe(&toChild), Self.makePipe(&fromChild) else {
            throw CocoaError(.fileReadUnknown)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
        posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
        var words: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) }
        words.append(nil)
        var id: pid_t = 0
        let failure = posix_spawnp(&id, executable, &actions, nil, words, environ)
        for word in words { free(word) }
        posix_spawn_file_actions_destroy(&actions)
        close(toChild[0])
        close(fromChild[1])
        self.id = id
        input = toChild[1]
        let output = fromChild[0]
        guard failure == 0 else {
            close(input)
            close(output)
            throw CocoaError(.executableLoad)
        }
        Thread.detachNewThread { [self] in
            Self.readLines(from: output, heard)
            close(output)
            var status: Int32 = 0
            while waitpid(self.id, &status, 0) < 0, errno == EINTR {}
            ended(status)
        }
    }

    private static func makePipe(_ ends: inout [Int32]) -> Bool {
        guard pipe(&ends) == 0 else { return false }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return true
    }

    private static func readLines(from output: Int32, _ heard: (String) -> Void) {
        var rest: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = read(output, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest += buffer.prefix(count)
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                heard(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeFirst(end + 1)
            }
        }
    }

    private func ended(_ status: Int32) {
        let resumed = state.withLock {
            endStatus = status
            defer { waiting = [] }
            return waiting
        }
        closeInput()
        for continuation in resumed { continuation.resume(returning: status) }
    }

    /// Sends a signal, unless the process has ended.
    public func signal(_ signal: Int32) {
        state.withLock { if endStatus == nil { kill(id, signal) } }
    }

    /// Writes a line to its standard input.
    public func tell(_ line: String) {
        state.withLock {
            guard isInputOpen else { return }
            _ = Array((line + "\n").utf8).withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
        }
    }

    /// Closes its standard input, which asks it to end. Idempotent.
    public func closeInput() {
        state.withLock {
            if isInputOpen { close(input) }
            isInputOpen = false
        }
    }

    /// How a process ended.
    public enum End: Sendable, Equatable {
        /// With this exit status.
        case exited(Int32)
        /// By this signal.
        case signalled(Int32)
    }

    /// Waits for the end of the process and of its output.
    public func end() async -> End {
        let status: Int32 = await withCheckedContinuation { continuation in
            let known = state.withLock { () -> Int32? in
                if endStatus == nil { waiting.append(continuation) }
                return endStatus
            }
            if let known { continuation.resume(returning: known) }
        }
        return status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signalled(status & 0x7f)
    }
}

/// Waits until standard input ends: the parent closed it or ended.
public func untilInputEnds() async {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 512)
            while read(0, &buffer, buffer.count) > 0 {}
            continuation.resume()
        }
    }
}
