import Foundation
import Testing

@testable import ParleyCLI

/// How a file that has arrived gets its name, in each way that a file system may know.
@Suite("The name of a file")
struct NamingTests {
    private let directory: TemporaryDirectory
    private let folder: OpenFolder

    init() throws {
        directory = try TemporaryDirectory()
        folder = try OpenFolder(LocalPath(argument: directory.url.path))
    }

    private func rename(_ way: OpenFolder.Naming, replacing: Bool = false) throws(SystemError) {
        try folder.rename(
            Array("part".utf8),
            to: Array("file".utf8),
            replacing: replacing,
            beginningWith: way
        )
    }

    @Test("is given to it, and the first one goes", arguments: OpenFolder.Naming.allCases)
    func new(way: OpenFolder.Naming) throws {
        let data = try directory.makeFile("part", byteCount: 100)
        try rename(way)
        #expect(try directory.names == ["file"])
        #expect(try directory.contents(of: "file") == data)
    }

    @Test("is not taken from another file", arguments: OpenFolder.Naming.allCases)
    func taken(way: OpenFolder.Naming) throws {
        let data = try directory.makeFile("file", byteCount: 50)
        try directory.makeFile("part", byteCount: 100)
        let error = #expect(throws: SystemError.self) { try rename(way) }
        #expect(error?.code == EEXIST)
        #expect(try directory.contents(of: "file") == data)
        #expect(try directory.names == ["file", "part"])
    }

    @Test("stays free when there is nothing to name", arguments: OpenFolder.Naming.allCases)
    func missing(way: OpenFolder.Naming) throws {
        let error = #expect(throws: SystemError.self) { try rename(way) }
        #expect(error?.code == ENOENT)
        #expect(try directory.names == [])
    }

    @Test("replaces another file where that is allowed")
    func replacing() throws {
        try directory.makeFile("file", byteCount: 50)
        let data = try directory.makeFile("part", byteCount: 100)
        try rename(.renaming, replacing: true)
        #expect(try directory.names == ["file"])
        #expect(try directory.contents(of: "file") == data)
    }
}
