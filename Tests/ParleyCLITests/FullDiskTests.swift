import Foundation
import Parley
import Testing

@testable import ParleyCLI

/// Both ends as processes, and a file system that does not take what arrives.
@Suite(
    "A disk that takes nothing more",
    .enabled(SmallDisk.reason) { await SmallDisk.isAvailable },
    .timeLimit(.minutes(5))
)
struct FullDiskTests {
    private static let mebibyte = 1 << 20
    private let source: TemporaryDirectory

    init() throws { source = try TemporaryDirectory() }

    private func receive(
        byteCount: Int = 4 * mebibyte,
        isReadOnly: Bool = false,
        losesPrivileges: Bool = false,
        _ options: String...
    ) async throws -> SmallDisk {
        try await SmallDisk(
            byteCount: byteCount,
            isReadOnly: isReadOnly,
            losesPrivileges: losesPrivileges,
            ["receive", "--listen", "127.0.0.1:0", "--into", SmallDisk.place] + options
        )
    }

    private func send(_ name: String, to address: String) throws -> ToolProcess {
        try ToolProcess("send", source.path(of: name), "--to", address)
    }

    private func expectFailure(of tool: ToolProcess, _ reason: String) async throws {
        #expect(try await tool.errors.rest() == ["parley: \(reason)"])
        #expect(try await tool.exit() == 1)
    }

    // MARK: Full

    @Test("A full disk is told to the sender, leaves nothing, and others are served")
    func full() async throws {
        try source.makeFile("large", byteCount: 8 * Self.mebibyte)
        let data = try source.makeFile("small", byteCount: 3 * Self.mebibyte)
        let disk = try await receive()
        let address = try await disk.tool.listeningAddress()
        try await expectFailure(
            of: send("large", to: address),
            "\(address.withoutID) could not store large: the file cannot be written: no space left on device"
        )
        let line = try #require(try await disk.tool.errors.next())
        #expect(line.hasPrefix("parley: large from 127.0.0.1:"))
        #expect(line.contains(" broke off after "))
        #expect(line.hasSuffix(": the file cannot be written: no space left on device"))
        #expect(try disk.names == [])
        #expect(try await send("small", to: address).exit() == 0)
        #expect(try disk.contents(of: "small") == data)
    }

    @Test("With --resume the part stays on a full disk, and the transfer goes on when there is room")
    func resumed() async throws {
        let data = try source.makeFile("file", byteCount: 8 * Self.mebibyte)
        let disk = try await receive(byteCount: 12 * Self.mebibyte, "--resume")
        let address = try await disk.tool.listeningAddress()
        try disk.fill("filler", byteCount: 8 * Self.mebibyte)
        try await expectFailure(
            of: send("file", to: address),
            "\(address.withoutID) could not store file: the file cannot be written: no space left on device"
        )
        let part = try #require(try disk.names.first)
        #expect(Resumption.isPart(Array(part.utf8)))
        #expect(try disk.names == [part, "filler"])
        // All of it is right: it is what a sender would not send again.
        #expect(try data.starts(with: disk.contents(of: part)))
        #expect(try disk.contents(of: part).count >= 3 * Self.mebibyte)
        try disk.remove("filler")
        #expect(try await send("file", to: address).exit() == 0)
        #expect(try disk.names == ["file"])
        #expect(try disk.contents(of: "file") == data)
    }

    @Test("Of a folder the sender hears which file has no room; those before it are stored")
    func folder() async throws {
        let folder = source.url.appending(path: "folder")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (name, mebibytes) in [("a", 1), ("b", 8), ("c", 1)] {
            try source.makeFile("folder/\(name)", byteCount: mebibytes * Self.mebibyte)
        }
        let disk = try await receive()
        let address = try await disk.tool.listeningAddress()
        try await expectFailure(
            of: send("folder", to: address),
            "\(address.withoutID) could not store folder (3 files and 1 folder): "
                + "folder/b: the file cannot be written: no space left on device"
        )
        #expect(try disk.names == ["folder"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path(of: "folder")) == ["a"])
    }

    @Test("get says that the disk is full; with --resume it keeps the part", arguments: [false, true])
    func get(resumes: Bool) async throws {
        try source.makeFile("large", byteCount: 8 * Self.mebibyte)
        try source.makeFile("small", byteCount: 10)
        let server = try ToolProcess("serve", source.url.path, "--listen", "127.0.0.1:0")
        let address = try await server.listeningAddress()
        let target = try TemporaryDirectory()
        // A shell that stays shows what the tool leaves.
        let disk = try await SmallDisk(
            byteCount: 4 * Self.mebibyte,
            wrappedIn: ["/bin/sh", "-c", "\"$@\"; echo $?; ls -A \"$0\"", SmallDisk.place],
            ["get", address, "large", "--into", SmallDisk.place] + (resumes ? ["--resume"] : [])
        )
        let line = try #require(try await disk.tool.errors.next())
        #expect(line.hasPrefix("parley: large from \(address.withoutID) broke off after "))
        #expect(line.hasSuffix(" of 8388608 bytes: the file cannot be written: no space left on device"))
        let output = try await disk.tool.output.rest()
        #expect(output.dropFirst().first == "1")
        #expect(output.dropFirst(2).map { Resumption.isPart(Array($0.utf8)) } == (resumes ? [true] : []))
        // The server's line says where the getter had no room.
        let reason = "could not store large: the file cannot be written: no space left on device"
        let heard = try #require(try await server.errors.next())
        #expect(heard.hasPrefix("parley: ") && heard.hasSuffix(reason))
        let other = try ToolProcess("get", address, "small", "--into", target.url.path)
        #expect(try await other.exit() == 0)
    }

    // MARK: Read-only

    @Test("A read-only disk is told to the sender, and to the next one")
    func readOnly() async throws {
        try source.makeFile("file", byteCount: 10)
        let disk = try await receive(isReadOnly: true)
        let address = try await disk.tool.listeningAddress()
        for _ in 0..<2 {
            try await expectFailure(
                of: send("file", to: address),
                "\(address.withoutID) could not store file: "
                    + "a file cannot be created: read-only file system"
            )
        }
        #expect(try disk.names == [])
    }

    @Test("A folder that may not be written to refuses each entry, and the others are stored")
    func forbidden() async throws {
        let manager = FileManager.default
        for name in ["top/closed", "top/open"] {
            let folder = source.url.appending(path: name)
            try manager.createDirectory(at: folder, withIntermediateDirectories: true)
            try source.makeFile("\(name)/file", byteCount: 10)
        }
        let disk = try await receive(losesPrivileges: true)
        let address = try await disk.tool.listeningAddress()
        let closed = URL(filePath: disk.path(of: "top/closed"))
        try manager.createDirectory(at: closed, withIntermediateDirectories: true)
        chmod(closed.path, 0o555)
        let sender = try send("top", to: address)
        let reason = "a file cannot be created: permission denied"
        #expect(
            try await sender.errors.rest() == [
                "parley: \(address.withoutID) refused top/closed/file: \(reason)",
                "parley: 1 of 5 entries were not stored at \(address.withoutID)",
            ]
        )
        #expect(try await sender.exit() == 1)
        #expect(try manager.contentsOfDirectory(atPath: disk.path(of: "top/open")) == ["file"])
    }
}
