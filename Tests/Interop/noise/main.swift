// Connects Parley with a node of another make over secured links, both ways: foreign.py.

import ForeignProcess
import Foundation

guard CommandLine.arguments.count == 3 else {
    FileHandle.standardError.write(Data("usage: ParleyNoiseInterop PYTHON SCRIPT\n".utf8))
    exit(2)
}
let (python, script) = (CommandLine.arguments[1], CommandLine.arguments[2])
endRun(after: 1_800)
let cases: [(String, () async throws -> Void)] = [
    ("the foreign node dials Parley", { try await meet(python, script, foreignDials: true) }),
    ("Parley dials the foreign node", { try await meet(python, script, foreignDials: false) }),
    ("Parley dials another id", { try await mismatch(python, script) }),
]
var failed = 0
for (name, body) in cases {
    do {
        try await body()
        print("ok      Noise: \(name)")
    } catch {
        failed += 1
        print("FAILED  Noise: \(name): \(error)")
    }
}
exit(failed == 0 ? 0 : 1)
