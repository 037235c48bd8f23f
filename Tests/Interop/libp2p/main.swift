// Connects Parley with libp2p nodes of other makes, both ways. One line for each case, and at the end how
// many have passed.
//
// Arguments: NAME=PROGRAM or NAME=PROGRAM=SCRIPT for each foreign node. All cases of one whose program is
// missing are skipped, a line for each; behind the argument --required, which CI gives, they fail. A case for
// which a node has no means is skipped.

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
    private(set) var skipped = 0

    mutating func run(_ name: String, _ body: () async throws -> Void) async {
        do {
            try await body()
            passed += 1
            print("ok      \(name)")
        } catch let skipped as Skipped {
            self.skipped += 1
            print("skipped \(name): \(skipped)")
        } catch {
            failed += 1
            print("FAILED  \(name): \(error)")
        }
        fflush(nil)
    }
}

extension Maker {
    /// What the lines of its cases begin with.
    func road(foreignDials: Bool) -> String {
        foreignDials ? "\(name) dials Parley" : "Parley dials \(name)"
    }

    var namesOfLastCases: [String] {
        ["Parley dials \(name) by another id", "\(name) dials Parley by another id"]
    }

    /// All of its cases.
    var namesOfCases: [String] {
        let roads = [false, true].flatMap { foreignDials in
            (cases.map(\.name) + [killedName]).map { "\(road(foreignDials: foreignDials)): \($0)" }
        }
        return roads + namesOfLastCases
    }
}

private let killedName = "it is killed in the middle"

/// Runs all cases with one foreign node.
func meet(_ maker: Maker, _ report: inout Report) async {
    for foreignDials in [false, true] {
        let road = maker.road(foreignDials: foreignDials)
        do {
            let meeting = try await Meeting(maker, foreignDials: foreignDials)
            for (name, body) in cases { await report.run("\(road): \(name)") { try await body(meeting) } }
            await report.run("\(road): \(killedName)") { try await killed(meeting) }
            await meeting.end()
        } catch {
            await report.run(road) { throw error }
        }
    }
    let last = maker.namesOfLastCases
    await report.run(last[0]) { try await wrongIDDialed(maker) }
    await report.run(last[1]) { try await wrongIDAnswered(maker) }
}

func main() async -> Int32 {
    var report = Report()
    let isRequired = CommandLine.arguments.contains("--required")
    for argument in CommandLine.arguments.dropFirst() where argument != "--required" {
        let parts = argument.split(separator: "=").map(String.init)
        guard parts.count >= 2 else {
            FileHandle.standardError.write(
                Data("usage: ParleyLibP2PInterop [--required] NAME=PROGRAM[=SCRIPT]...\n".utf8)
            )
            return 2
        }
        let maker = Maker(name: parts[0], program: parts[1], arguments: Array(parts[2...]))
        guard FileManager.default.isExecutableFile(atPath: maker.program) else {
            let what = "\(maker.name) is not installed: there is no \(maker.program)"
            for name in maker.namesOfCases {
                await report.run(name) { throw isRequired ? Failure(what) as any Error : Skipped(what) }
            }
            continue
        }
        await meet(maker, &report)
    }
    print("\(report.passed) passed, \(report.failed) failed, \(report.skipped) skipped")
    return report.failed == 0 ? 0 : 1
}

endRun(after: 1_800)
exit(await main())
