import Foundation
import Parley
import ParleyNoise

@testable import ParleyCLI

/// The built `parley` as a process of its own, line by line.
///
/// Whatever is awaited has a deadline, so that a fault is a failure and not a test that hangs.
final class ToolProcess: Sendable {
    static let deadline = Duration.seconds(60)

    /// Beside the bundle that the tests are in.
    static let executable: URL = {
        #if canImport(Darwin)
            let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }!.bundleURL
        #else
            let bundle = URL(filePath: CommandLine.arguments[0])
        #endif
        return bundle.deletingLastPathComponent().appending(path: "parley")
    }()

    /// The configuration of every tool that a test starts, unless it names another. It has an identity.
    static let configuration: TemporaryDirectory = {
        do {
            let directory = try TemporaryDirectory()
            let own = directory.url.appending(path: "parley")
            try FileManager.default.createDirectory(at: own, withIntermediateDirectories: false)
            _ = try Identity.loadOrCreate(at: own.appending(path: "identity").path)
            atexit { try? FileManager.default.removeItem(at: ToolProcess.configuration.url) }
            return directory
        } catch {
            fatalError("no directory for the configuration: \(error)")
        }
    }()

    /// The identity in ``configuration``.
    static let identity: Identity = {
        do { return try .load(from: configuration.path(of: "parley/identity")) } catch {
            fatalError("no identity: \(error)")
        }
    }()

    let output: Lines
    /// What it writes to standard error; nothing at a terminal.
    let errors: Lines
    private let process: SpawnedProcess

    /// Starts `parley` with `arguments`, and the wire form if one is named.
    convenience init(_ arguments: String..., codec: Codec? = nil) throws {
        let form = codec.map { ["--codec", $0.rawValue] } ?? []
        try self.init(executable: Self.executable, arguments + form)
    }

    /// - Parameters:
    ///   - environment: what differs from this process's environment and ``configuration``; an empty value
    ///     removes a variable.
    ///   - terminal: what its standard input and error are; nil for pipes.
    init(
        executable: URL = ToolProcess.executable,
        _ arguments: [String],
        environment: [String: String] = [:],
        at terminal: Terminal? = nil
    ) throws {
        let environment = ["XDG_CONFIG_HOME": Self.configuration.url.path, "TERM": "xterm"]
            .merging(environment) { _, new in new }
        if let terminal {
            process = try SpawnedProcess(
                executable: executable.path,
                arguments,
                environment: environment,
                at: terminal
            )
            errors = Lines()
        } else {
            process = try SpawnedProcess(executable: executable.path, arguments, environment: environment)
            errors = Lines(of: process.errors)
        }
        output = Lines(of: process.output)
    }

    deinit { process.signal(SIGKILL) }

    /// Types a line.
    func type(_ line: String) throws { try process.input.write(contentsOf: Data((line + "\n").utf8)) }

    /// The end of standard input, behind `text`.
    func endInput(after text: String = "") throws {
        try process.input.write(contentsOf: Data(text.utf8))
        try process.input.close()
    }

    func signal(_ number: Int32) { process.signal(number) }

    /// The process's id.
    var identifier: pid_t { process.identifier }

    /// Waits for the end; a signal that killed it counts as its negative number.
    func exit() async throws -> Int32 {
        try await withDeadline(Self.deadline, failingWith: Failure("the tool has not ended")) { [process] in
            await process.exitCode.value
        }
    }

    /// Reads out of the first line of `listen` and `receive` what the other side dials.
    func listeningAddress() async throws -> String {
        let line = try await output.next()
        let title = "listening on "
        guard let line, line.hasPrefix(title) else {
            throw Failure("expected \"\(title)...\", got \(line ?? "nothing"); \(try await errors.rest())")
        }
        return String(line.dropFirst(title.count))
    }
}

/// What a process writes.
final class Lines: Sendable {
    private let lines: AsyncStream<String>

    /// No line at all.
    init() { lines = AsyncStream { $0.finish() } }

    init(of pipe: FileHandle) {
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        self.lines = lines
        Thread.detachNewThread {
            var splitter = LineSplitter(maxBytes: 1 << 20)
            func forward(_ line: InputLine) {
                if case .text(let bytes) = line { continuation.yield(String(decoding: bytes, as: UTF8.self)) }
            }
            while let block = try? readSome(4_096, from: pipe.fileDescriptor), !block.isEmpty {
                splitter.feed(block).forEach(forward)
            }
            splitter.finish().map(forward)
            continuation.finish()
        }
    }

    /// The next line; nil at the end.
    func next() async throws -> String? {
        try await withDeadline(ToolProcess.deadline, failingWith: Failure("no line came")) { [lines] in
            await lines.first { _ in true }
        }
    }

    /// Waits for a line that ends with `suffix`, over others.
    func first(endingWith suffix: String) async throws -> String {
        var seen: [String] = []
        while let line = try await next() {
            if line.hasSuffix(suffix) { return line }
            seen.append(line)
        }
        throw Failure("no line ended with \"\(suffix)\", only: \(seen)")
    }

    /// All lines until the end.
    func rest() async throws -> [String] {
        var lines: [String] = []
        while let line = try await next() { lines.append(line) }
        return lines
    }
}

extension String {
    /// `host:port` of a text `ID@host:port`.
    var withoutID: String { String(split(separator: "@").last ?? "") }
}
