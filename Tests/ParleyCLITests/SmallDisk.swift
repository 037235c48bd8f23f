import Foundation
import Testing

@testable import ParleyCLI

/// The tool, and a small file system that it stores in: in memory, and gone when the tool ends.
///
/// The tool is in a mount namespace of its own, so nothing is mounted elsewhere. A test looks into the file
/// system by way of /proc.
struct SmallDisk {
    let tool: ToolProcess
    /// Where it is mounted. Nothing is written into the directory itself.
    private let mountPoint: TemporaryDirectory

    /// Starts the tool with `arguments`, which store in ``SmallDisk`` where they name ``place``.
    ///
    /// - Parameters:
    ///   - isReadOnly: whether the file system takes no writes.
    ///   - losesPrivileges: whether the tool may do no more than what modes allow, though root starts it.
    ///   - wrapper: a command in front of the tool's.
    init(
        byteCount: Int,
        isReadOnly: Bool = false,
        losesPrivileges: Bool = false,
        wrappedIn wrapper: [String] = [],
        _ arguments: [String]
    ) async throws {
        let mountPoint = try TemporaryDirectory()
        self.mountPoint = mountPoint
        let path = mountPoint.url.path
        var command = wrapper + [ToolProcess.executable.path] + arguments
        command = command.map { $0 == Self.place ? path : $0 }
        if losesPrivileges { command = Self.withoutPrivileges + command }
        let script = """
            mount -t tmpfs -o size=\(byteCount) tmpfs "$0"
            \(isReadOnly ? "mount -o remount,ro \"$0\"" : "")
            exec "$@"
            """
        let namespaces = await Self.namespaces.value ?? []
        tool = try ToolProcess(
            executable: Self.unshare,
            namespaces + ["/bin/sh", "-ec", script, path] + command
        )
    }

    /// Stands for the file system among the arguments.
    static let place = "SMALL DISK"

    // MARK: What is in it

    private var url: URL { URL(filePath: "/proc/\(tool.identifier)/root\(mountPoint.url.path)") }

    /// Hidden names included.
    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() }
    }

    func path(of name: String) -> String { url.appending(path: name).path }

    func contents(of name: String) throws -> Data { try Data(contentsOf: url.appending(path: name)) }

    /// Takes so many bytes, until the file is removed.
    func fill(_ name: String, byteCount: Int) throws {
        try Data(count: byteCount).write(to: url.appending(path: name))
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(at: url.appending(path: name)) }

    // MARK: Whether there can be one

    static let reason: Comment = "unshare(1) or the leave to mount in a namespace is missing here"

    static var isAvailable: Bool { get async { await namespaces.value != nil } }

    private static let unshare = URL(filePath: "/usr/bin/unshare")
    private static let withoutPrivileges = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]

    /// The options of unshare(1); nil where none of them helps. A user namespace lends the leave to mount.
    private static let namespaces = Task { () -> [String]? in
        for options in [["--user", "--map-root-user", "--mount"], ["--mount"]] {
            let script = "mount -t tmpfs tmpfs /mnt && exec \"$@\""
            let trial = try? SpawnedProcess(
                executable: unshare.path,
                options + ["/bin/sh", "-c", script, "sh"] + withoutPrivileges + ["true"]
            )
            if await trial?.exitCode.value == 0 { return options }
        }
        return nil
    }
}
