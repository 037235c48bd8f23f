import Foundation
import Gauges

/// This program once more, in another role. The two talk in lines of JSON.
final class RoleProcess: Sendable {
    private let process: ChildProcess
    private let lines: AsyncStream<String>

    struct Silent: Error {
        var role: String
    }
    private let role: String

    init(_ role: String) throws {
        self.role = role
        let (lines, heard) = AsyncStream<String>.makeStream()
        self.lines = lines
        let process = try ChildProcess(arguments: [role]) { heard.yield($0) }
        self.process = process
        Task {
            _ = await process.end()
            heard.finish()
        }
    }

    /// Says something to it.
    func tell(_ order: some Encodable) { process.tell(Self.line(order)) }

    /// Waits for the next thing that it says; one task at a time.
    func hear<Answer: Decodable>(_ answer: Answer.Type = Answer.self) async throws -> Answer {
        for await line in lines { return try JSONDecoder().decode(Answer.self, from: Data(line.utf8)) }
        throw Silent(role: role)
    }

    /// Asks it to end, and waits until it has; one that does not is killed.
    func end() async -> ChildProcess.End {
        let patience = Task { [process] in
            try await Task.sleep(for: .seconds(30))
            process.signal(SIGKILL)
        }
        defer { patience.cancel() }
        process.closeInput()
        return await process.end()
    }

    private static func line(_ value: some Encodable) -> String {
        // What is said here is plain values: they always have a form in JSON.
        String(decoding: try! JSONEncoder().encode(value), as: UTF8.self)
    }

    // MARK: In the other process

    /// Blocks until the parent says something of this kind; what is of another kind is passed over.
    ///
    /// - Returns: nil when it wants this process to end, or is gone.
    static func readOrder<Order: Decodable>(_ order: Order.Type) -> Order? {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        // Byte by byte: what comes behind the line is left for whoever watches the descriptor.
        while read(0, &byte, 1) == 1 {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            if let order = try? JSONDecoder().decode(Order.self, from: Data(line)) { return order }
            line = []
        }
        return nil
    }

    /// Says something to the parent.
    static func answer(_ value: some Encodable) { say(line(value)) }
}
