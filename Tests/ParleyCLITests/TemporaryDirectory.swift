import Foundation

/// A directory of a test's own, removed with it.
final class TemporaryDirectory: Sendable {
    let url: URL

    /// - Parameter hasManyFiles: whether it is in memory, where there is such a place: disks are slow to
    ///   remove thousands of files.
    init(hasManyFiles: Bool = false) throws {
        let (memory, manager) = ("/dev/shm", FileManager.default)
        let parent =
            hasManyFiles && manager.isWritableFile(atPath: memory)
            ? URL(filePath: memory) : manager.temporaryDirectory
        url = parent.appending(path: "parley-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// What is in it, hidden names included.
    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() }
    }

    func path(of name: String) -> String { url.appending(path: name).path }

    func contents(of name: String) throws -> Data { try Data(contentsOf: url.appending(path: name)) }

    /// Writes a file of bytes that do not repeat in a simple way.
    @discardableResult
    func makeFile(_ name: String, byteCount: Int) throws -> Data {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        let words = (0..<(byteCount + 7) / 8).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state
        }
        let data = words.withUnsafeBytes { Data($0.prefix(byteCount)) }
        try data.write(to: url.appending(path: name))
        return data
    }
}
