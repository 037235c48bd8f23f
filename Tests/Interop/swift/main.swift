// Runs every case against Go programs and prints a line for each.

import ForeignProcess
import Foundation

/// One line, at once: whoever reads along through a pipe sees it too.
nonisolated func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

let arguments = CommandLine.arguments.dropFirst()
if arguments.count == 2, arguments.first == "stream-to" {
    try await streamForEver(to: arguments.last!)
}
guard let goNode = arguments.first, let gobpipe = arguments.last, arguments.count == 2 else {
    FileHandle.standardError.write(Data("usage: ParleyInterop PATH-OF-GONODE PATH-OF-GOBPIPE\n".utf8))
    exit(2)
}

endRun(after: 1_800)

/// Runs `body` as a case of this name, prints how it went, and says whether it went well.
nonisolated func run(_ name: String, _ body: () async throws -> Void) async -> Bool {
    let started = ContinuousClock.now
    do {
        try await body()
        say("ok      \(name) (\(Int(started.duration(to: .now) / .milliseconds(1))) ms)")
        return true
    } catch {
        say("FAILED  \(name): \(error)")
        return false
    }
}

var results: [Bool] = []
for goDials in [true, false] {
    for (name, body) in cases {
        let result = await run("\(goDials ? "Go dials Parley" : "Parley dials Go"): \(name)") {
            let pair = try await Pair(goNode, goDials: goDials)
            do {
                try await body(pair)
            } catch {
                await pair.end()
                throw error
            }
            await pair.end()
        }
        results.append(result)
    }
}
results.append(await run("Parley is killed while it streams to Go") { try await parleyDies(goNode) })
for gobCase in GobCase.all {
    results.append(await run(gobCase.name) { try await gobCase.run(gobpipe) })
}
let failed = results.count { !$0 }
say("\(results.count - failed) passed, \(failed) failed")
exit(failed == 0 ? 0 : 1)
