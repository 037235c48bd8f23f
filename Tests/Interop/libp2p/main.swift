// Connects Parley with libp2p nodes of other makes, both ways. One line for each case, and at the end how
// many have passed.
//
// Arguments: NAME=PROGRAM or NAME=PROGRAM=SCRIPT for each foreign node. One whose program is missing is
// skipped, and so is a case for which a node has no means.

import ForeignProcess
import Foundation

struct Maker: Sendable {
    let name: String
    let program: String
    let arguments: [String]
}

/// Counts and prints what has passed and failed.
struct Report {
    private(set) var passed = 0
    private(set) var failed = 0

    mutating func run(_ name: String, _ body: () async throws -> Void) async {
        do {
            try await body()
            passed += 1
            print("ok      \(name)")
        } catch let skipped as Skipped {
            print("skipped \(name): \(skipped)")
        } catch {
            failed += 1
            print("FAILED  \(name): \(error)")
        }
        fflush(nil)
    }
}

/// Runs all cases with one foreign node.
func meet(_ maker: Maker, _ report: inout Report) async {
    for foreignDials in [false, true] {
        let road = foreignDials ? "\(maker.name) dials Parley" : "Parley dials \(maker.name)"
        do {
            let meeting = try await Meeting(maker, foreignDials: foreignDials)
            for (name, body) in cases { await report.run("\(road): \(name)") { try await body(meeting) } }
            await report.run("\(road): it is killed in the middle") { try await killed(meeting) }
            await meeting.end()
        } catch {
            await report.run(road) { throw error }
        }
    }
    await report.run("Parley dials \(maker.name) by another id") { try await wrongIDDialed(maker) }
    await report.run("\(maker.name) dials Parley by another id") { try await wrongIDAnswered(maker) }
}

func main() async -> Int32 {
    var report = Report()
    for argument in CommandLine.arguments.dropFirst() {
        let parts = argument.split(separator: "=").map(String.init)
        guard parts.count >= 2 else {
            FileHandle.standardError.write(Data("usage: ParleyLibP2PInterop NAME=PROGRAM[=SCRIPT]...\n".utf8))
            return 2
        }
        let maker = Maker(name: parts[0], program: parts[1], arguments: Array(parts[2...]))
        guard FileManager.default.isExecutableFile(atPath: maker.program) else {
            print("skipped \(maker.name): there is no \(maker.program)")
            continue
        }
        await meet(maker, &report)
    }
    print("\(report.passed) passed, \(report.failed) failed")
    return report.failed == 0 ? 0 : 1
}

endRun(after: 240)
exit(await main())
