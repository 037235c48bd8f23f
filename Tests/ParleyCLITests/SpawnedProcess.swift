import CLinux
import Foundation

@testable import Parley

/// A child process with pipes for its standard streams.
///
/// By posix_spawn(3) itself: Foundation's `Process` copies past the end of a directory entry when it looks
/// for descriptors to close, and in a process with many of them that ends at an unmapped page.
struct SpawnedProcess: Sendable {
    let identifier: pid_t
    let input: FileHandle
    let output: FileHandle
    let errors: FileHandle
    /// The exit code, or a signal's number as a negative one.
    let exitCode: Task<Int32, Never>

    private let isReaped = Lock(false)

    /// - Parameters:
    ///   - environment: what differs from this process's environment.
    ///   - isRead: whether anybody reads its standard output; otherwise its first write fails.
    init(
        executable: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        isRead: Bool = true
    ) throws {
        let (input, output, errors) = (Pipe(), Pipe(), Pipe())
        if !isRead { try output.fileHandleForReading.close() }
        let child = try Self.spawn(
            [executable] + arguments,
            environment,
            [
                input.fileHandleForReading.fileDescriptor, output.fileHandleForWriting.fileDescriptor,
                errors.fileHandleForWriting.fileDescriptor,
            ]
        )
        identifier = child
        self.input = input.fileHandleForWriting
        self.output = output.fileHandleForReading
        self.errors = errors.fileHandleForReading
        for end in [input.fileHandleForReading, output.fileHandleForWriting, errors.fileHandleForWriting] {
            try end.close()
        }
        exitCode = Self.exitCode(of: child, isReaped)
    }

    /// The same at a terminal, which is its standard input and error. Its standard output is a pipe.
    init(
        executable: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        at terminal: Terminal
    ) throws {
        let output = Pipe()
        let descriptor = output.fileHandleForWriting.fileDescriptor
        let child = try Self.spawn([executable] + arguments, environment, [-1, descriptor, 0], terminal)
        identifier = child
        input = terminal.keyboard
        self.output = output.fileHandleForReading
        errors = terminal.keyboard
        try output.fileHandleForWriting.close()
        exitCode = Self.exitCode(of: child, isReaped)
    }

    private static func exitCode(of child: pid_t, _ isReaped: Lock<Bool>) -> Task<Int32, Never> {
        let (codes, ended) = AsyncStream.makeStream(of: Int32.self)
        Thread.detachNewThread {
            var status: Int32 = 0
            var information = siginfo_t()
            while waitid(P_PID, id_t(child), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
            isReaped.withLock { isReaped in
                waitpid(child, &status, 0)
                isReaped = true
            }
            let signal = status & 0x7f
            ended.yield(signal == 0 ? status >> 8 & 0xff : -signal)
        }
        return Task { await codes.first { _ in true } ?? .min }
    }

    /// Sends it a signal; nothing when it has ended, since its number may be another process's then.
    func signal(_ number: Int32) { isReaped.withLock { if !$0 { kill(identifier, number) } } }

    /// - Parameters:
    ///   - standardStreams: the descriptors of the three; -1 is the terminal, opened by the child.
    ///   - terminal: the child's controlling terminal, in a session of its own; nil for this process's.
    private static func spawn(
        _ command: [String],
        _ environment: [String: String],
        _ standardStreams: [Int32],
        _ terminal: Terminal? = nil
    ) throws -> pid_t {
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
        #else
            var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, descriptor) in standardStreams.enumerated() {
            if descriptor < 0, let terminal {
                posix_spawn_file_actions_addopen(&actions, Int32(number), terminal.path, O_RDWR, 0)
            } else {
                posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
            }
        }
        // Nothing else reaches the child: a pipe that another one has inherited would not end with this one.
        #if canImport(Darwin)
            var attributes: posix_spawnattr_t?
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_CLOEXEC_DEFAULT))
        #else
            var attributes = posix_spawnattr_t()
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            posix_spawn_file_actions_addclosefrom_np(&actions, 3)
            // Tests that run in the background ignore what their children are to be ended with.
            var signals = sigset_t()
            sigemptyset(&signals)
            for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&signals, number) }
            posix_spawnattr_setsigdefault(&attributes, &signals)
            // The first terminal that the leader of a session opens becomes its controlling one.
            let session = terminal == nil ? 0 : clinux_spawn_setsid
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF) | Int16(session))
        #endif
        var arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let merged = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        // An empty value removes a variable.
        var variables = merged.filter { !$0.value.isEmpty }.map { strdup("\($0)=\($1)") } + [nil]
        defer { for variable in variables { free(variable) } }
        var child = pid_t()
        let status = posix_spawn(&child, command[0], &actions, &attributes, &arguments, &variables)
        guard status == 0 else {
            throw Failure("cannot start \(command[0]): \(String(cString: strerror(status)))")
        }
        return child
    }

    private struct Failure: Error {
        let what: String
        init(_ what: String) { self.what = what }
    }
}
