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

    init(executable: String, _ arguments: [String]) throws {
        let (input, output, errors) = (Pipe(), Pipe(), Pipe())
        let child = try Self.spawn(
            [executable] + arguments,
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
        let (codes, ended) = AsyncStream.makeStream(of: Int32.self)
        Thread.detachNewThread { [isReaped] in
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
        exitCode = Task { await codes.first { _ in true } ?? .min }
    }

    /// Sends it a signal; nothing when it has ended, since its number may be another process's then.
    func signal(_ number: Int32) { isReaped.withLock { if !$0 { kill(identifier, number) } } }

    private static func spawn(_ command: [String], _ standardStreams: [Int32]) throws -> pid_t {
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
        #else
            var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, descriptor) in standardStreams.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
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
        #endif
        var arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        let status = posix_spawn(&child, command[0], &actions, &attributes, &arguments, environ)
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
