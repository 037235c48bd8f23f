import Foundation
import Testing

@testable import Parley

@Suite("A file that is being made", .timeLimit(.minutes(5)))
struct NewFileTests {
    private func names(in folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }

    /// As on a file system that has no way before this one.
    @Test(arguments: Naming.allCases) func `it gets its name when it is complete`(first: Naming) async throws
    {
        try await withFolder { folder in
            let file = try NewFile(folder.appending(path: "file").path)
            try file.write([1, 2])
            #expect(try names(in: folder).allSatisfy { $0.hasPrefix(".parley-") && $0.hasSuffix(".part") })
            try file.write([3])
            try file.publish(beginningWith: first)
            #expect(try names(in: folder) == ["file"])
            #expect(try contents(of: folder.appending(path: "file")) == [1, 2, 3])
            file.discard()
            #expect(try names(in: folder) == ["file"])
        }
    }

    @Test(arguments: Naming.allCases) func `it replaces nothing`(first: Naming) async throws {
        try await withFolder { folder in
            let (manager, subfolder) = (FileManager.default, folder.appending(path: "folder"))
            try Data([9]).write(to: folder.appending(path: "file"))
            try manager.createDirectory(at: subfolder, withIntermediateDirectories: false)
            try manager.createSymbolicLink(
                atPath: folder.appending(path: "dangling").path,
                withDestinationPath: "nowhere"
            )
            for name in ["file", "folder", "dangling"] {
                let path = folder.appending(path: name).path
                let file = try NewFile(path)
                try file.write([1])
                let exists = #expect(throws: ParleyError.self) { try file.publish(beginningWith: first) }
                #expect(exists?.code == .fileExists)
                #expect(exists?.message.contains(path) == true)
                file.discard()
            }
            #expect(try names(in: folder) == ["dangling", "file", "folder"])
            #expect(try contents(of: folder.appending(path: "file")) == [9])
        }
    }

    @Test func `its name may be as long as names can be`() async throws {
        try await withFolder { folder in
            let name = String(repeating: "ü", count: 127) + "."
            #expect(name.utf8.count == 255)
            let file = try NewFile(folder.appending(path: name).path)
            try file.publish()
            #expect(try names(in: folder).map(\.utf8.count) == [255])
        }
    }

    @Test func `nothing is left of one that is discarded, or let go`() async throws {
        try await withFolder { folder in
            let path = folder.appending(path: "file").path
            var file: NewFile? = try NewFile(path)
            try file?.write([1])
            #expect(try names(in: folder).count == 1)
            file = nil
            #expect(try names(in: folder) == [])
            let discarded = try NewFile(path)
            discarded.discard()
            discarded.discard()
            #expect(try names(in: folder) == [])
            #expect(throws: ParleyError.self) { try discarded.write([1]) }
            #expect(throws: ParleyError.self) { try discarded.publish() }
        }
    }

    @Test(arguments: ["", "/", "folder/"]) func `a path ends with its name`(path: String) {
        #expect(throws: ParleyError.self) { try NewFile(path) }
        #expect((try? NewFile(path)) == nil)
    }

    @Test func `a folder that does not exist is an error that names the file`() async throws {
        try await withFolder { folder in
            let path = folder.appending(path: "no/file").path
            let missing = #expect(throws: ParleyError.self) { try NewFile(path) }
            #expect(missing?.code == .fileNotFound)
            #expect(missing?.message.contains(path) == true)
        }
    }

    @Test(
        arguments: [
            (.link, EPERM, .exclusiveRename), (.link, EOPNOTSUPP, .exclusiveRename),
            (.link, EMLINK, .exclusiveRename), (.link, ENOSYS, .exclusiveRename),
            (.link, EEXIST, nil), (.link, ENOSPC, nil), (.link, EACCES, nil),
            (.exclusiveRename, EINVAL, .reservation), (.exclusiveRename, ENOSYS, .reservation),
            (.exclusiveRename, EOPNOTSUPP, .reservation), (.exclusiveRename, EEXIST, nil),
            (.exclusiveRename, EACCES, nil), (.reservation, EEXIST, nil), (.reservation, EPERM, nil),
        ] as [(Naming, Int32, Naming?)]
    )
    func `the next way is tried where a file system lacks the first`(
        way: Naming,
        failure: Int32,
        next: Naming?
    ) {
        #expect(way.next(after: failure) == next)
    }
}
