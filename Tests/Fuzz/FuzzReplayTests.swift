import Foundation
import Testing

/// Runs the fuzz targets on the seeds and on every input that ever failed.
@Suite(.timeLimit(.minutes(5))) struct FuzzReplayTests {
    @Test(arguments: FuzzTarget.allCases)
    func `the properties hold for all seeds and former failures`(target: FuzzTarget) async throws {
        let files = try Self.files(of: target)
        try #require(!files.isEmpty)
        // In a child process, because a failed property ends the process.
        let all = await #expect(processExitsWith: .success) { [target] in
            for file in try Self.files(of: target) { try Self.replay(file, target) }
        }
        guard all == nil else { return }
        for file in files {
            await #expect(processExitsWith: .success, "\(file)") { [target, file = file as String] in
                try Self.replay(file, target)
            }
        }
    }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    /// The paths below this folder.
    private static func files(of target: FuzzTarget) throws -> [String] {
        try ["Corpus", "Failures"].flatMap { kind in
            let place = "\(kind)/\(target.rawValue)"
            return try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: place).path)
                .filter { !$0.hasPrefix(".") }
                .sorted()
                .map { "\(place)/\($0)" }
        }
    }

    private static func replay(_ file: String, _ target: FuzzTarget) throws {
        target.run([UInt8](try Data(contentsOf: folder.appending(path: file))))
    }
}
