import Foundation

/// Why a case has failed.
package struct Failure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

package func check(_ condition: Bool, _ complaint: @autoclosure () -> String) throws {
    if !condition { throw Failure(complaint()) }
}

/// Ends the run when a case hangs: none takes so long.
package func endRun(after seconds: Double) {
    Thread.detachNewThread {
        Thread.sleep(forTimeInterval: seconds)
        print("FAILED  a case hangs")
        exit(1)
    }
}

/// A node of another make in a process of its own. Lines go in and come out, one thing at a time.
///
/// `@unchecked Sendable`: a case is one task.
package final class ForeignProcess: @unchecked Sendable {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var rest = Data()

    /// - Parameter isQuiet: whether what it logs to standard error is thrown away.
    package init(_ executable: String, _ arguments: [String], isQuiet: Bool = false) throws {
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.standardInput = input
        process.standardOutput = output
        if isQuiet { process.standardError = FileHandle.nullDevice }
        try process.run()
    }

    package func tell(_ line: String) { input.fileHandleForWriting.write(Data("\(line)\n".utf8)) }

    /// The words of the next line. Blocks until it comes.
    package func nextLine() throws -> [String] {
        while !rest.contains(UInt8(ascii: "\n")) {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Failure("the foreign node has ended") }
            rest += more
        }
        let line = rest.prefix { $0 != UInt8(ascii: "\n") }
        rest = Data(rest.dropFirst(line.count + 1))
        return String(decoding: line, as: UTF8.self).split(separator: " ").map(String.init)
    }

    /// The words behind the next line, which has to begin with `name`. Blocks until it comes.
    package func expect(_ name: String) throws -> [String] {
        let words = try nextLine()
        try check(words.first == name, "it said \"\(words.joined(separator: " "))\", not \"\(name) …\"")
        return Array(words.dropFirst())
    }

    package func kill() {
        if process.isRunning { _ = Foundation.kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }
}
