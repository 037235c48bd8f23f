// `make soak`: tests that need too much time or memory for the test suite. Each mode prints its figures and
// fails when they are out of bounds.

import Foundation
import Gauges

@main struct Soak {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        let isGood =
            switch (arguments.first, arguments.count) {
            case ("slow-reader", 1): try await SlowReader.receive()
            case ("slow-reader", 2): try await SlowReader.send(to: arguments.last!)
            case ("large-message", 1): try await LargeMessage.receive()
            case ("large-message", 2): try await LargeMessage.send(to: arguments.last!)
            case ("descriptors", 1): try await Descriptors.receive()
            case ("descriptors", 2): try await Descriptors.send(to: arguments.last!)
            case ("frames", 1): try await Frames.run(count: 1_000_000)
            case ("duplicates", _): try await Duplicates.run(Arguments())
            case ("churn", _): try await Churn.run(Arguments())
            case ("streams", _): try await Streams.run(Arguments())
            case ("questions", _): try await Questions.run(Arguments())
            case ("frames", 2): try await Frames.run(count: Int(arguments.last!) ?? 0)
            default: usage()
            }
        exit(isGood ? 0 : 1)
    }

    private static func usage() -> Bool {
        print(
            "usage: ParleySoak slow-reader | large-message | descriptors | frames [COUNT]\n"
                + "       ParleySoak duplicates [--tries N] [--seed N]\n"
                + "       ParleySoak streams [--streams N]\n"
                + "       ParleySoak questions [--questions N] [--seed N]\n"
                + "       ParleySoak churn [--seconds N] [--peers N] [--tolerance MIB]"
        )
        return false
    }

    /// Starts this program as the other side.
    static func other(_ mode: String, _ address: String) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
        process.arguments = [mode, address]
        try process.run()
        return process
    }

    /// Prints the verdict and returns it.
    static func verdict(_ isGood: Bool, _ what: String) -> Bool {
        var verdict = Verdict()
        verdict.check(isGood, what)
        return isGood
    }
}
