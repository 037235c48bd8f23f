import Foundation

@testable import Parley

/// What a file holds. By the library's own means: Foundation leaks a buffer when the file is empty.
func contents(of url: URL) throws -> [UInt8] {
    let file = try File(reading: url.path)
    return try file.read(at: 0, count: file.version().size)
}

/// A folder for one test.
func withFolder(_ body: (URL) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    try await body(folder)
}
