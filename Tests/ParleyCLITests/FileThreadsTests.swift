import Foundation
import Parley
import Synchronization
import Testing

@testable import ParleyCLI

@Suite("Threads for files", .timeLimit(.minutes(5)))
struct FileThreadsTests {
    /// Blocks its thread until it is to stop.
    private static func block(_ stop: StopSign) {
        while !stop.isSet { usleep(1_000) }
    }

    @Test("Work that blocks holds up no task, and stops with its own")
    func apart() async throws {
        // More than Swift has threads.
        let count = ProcessInfo.processInfo.activeProcessorCount + 2
        let threads = FileThreads(atMost: count)
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let blocked = (0..<count).map { _ -> Task<Void, any Error> in
            Task {
                try await threads.run { stop -> Void in
                    begin.yield()
                    Self.block(stop)
                }
            }
        }
        // This test goes on, though all of them block.
        for _ in blocked { _ = await begun.first { _ in true } }
        for task in blocked { task.cancel() }
        for task in blocked { await #expect(throws: CancellationError.self) { try await task.value } }
    }

    @Test("There are no more than so many, and each work has its result or its error")
    func bound() async throws {
        let threads = FileThreads(atMost: 2)
        let running = Lock((now: 0, most: 0))
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<50 {
                group.addTask {
                    try await threads.run { _ in
                        running.withLock { running in
                            running.now += 1
                            running.most = max(running.most, running.now)
                        }
                        defer { running.withLock { $0.now -= 1 } }
                        return number
                    }
                }
            }
            var sum = 0
            for try await number in group { sum += number }
            return sum
        }
        #expect(sum == 49 * 50 / 2)
        #expect((1...2).contains(running.withLock { $0.most }))
        await #expect(throws: Failure.self) {
            try await threads.run { _ -> Void in throw Failure("it fails") }
        }
    }

    @Test("Work that has not begun when its task is cancelled does not begin")
    func cancelledBefore() async throws {
        let threads = FileThreads(atMost: 1)
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let first = Task {
            try await threads.run { stop -> Void in
                begin.yield()
                Self.block(stop)
            }
        }
        _ = await begun.first { _ in true }
        let second = Task { try await threads.run { _ -> Void in Issue.record("it has begun") } }
        second.cancel()
        first.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
    }

    @Test("A look into a folder ends when nobody wants it any more")
    func walk() throws {
        let source = try TemporaryDirectory()
        for number in 0..<10 { try source.makeFile("file\(number)", byteCount: 1) }
        let looks = Mutex(0)
        var options = SourceTree.Options()
        options.isStopped = {
            looks.withLock { looks in
                looks += 1
                return looks > 3
            }
        }
        var tree = SourceTree(options)
        try tree.add(LocalPath(bytes: Array(source.url.path.utf8)), as: Array("folder".utf8))
        // The folder, and three of its files.
        #expect(tree.entries.count == 4)
    }
}
