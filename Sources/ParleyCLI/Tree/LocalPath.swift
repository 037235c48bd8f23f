import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A path on this machine. Bytes, since names need not be text.
struct LocalPath: Equatable {
    let bytes: [UInt8]

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// A path that the command line names. Where the argument parser has replaced bytes that are not UTF-8,
    /// they are taken from the arguments as the process got them.
    init(argument: String) {
        let raw = (0..<Int(CommandLine.argc)).compactMap { index in
            CommandLine.unsafeArgv[index].map { Array(UnsafeBufferPointer(start: $0, count: strlen($0))) }
        }
        self.init(argument: argument, among: raw.map { $0.map(UInt8.init(bitPattern:)) })
    }

    /// - Parameter arguments: of the process.
    init(argument: String, among arguments: [[UInt8]]) {
        let isReplaced = argument.unicodeScalars.contains("\u{FFFD}")
        let raw = isReplaced ? arguments.first { String(decoding: $0, as: UTF8.self) == argument } : nil
        bytes = raw ?? Array(argument.utf8)
    }

    func appending(_ name: [UInt8]) -> LocalPath {
        LocalPath(bytes: bytes.last == slash ? bytes + name : bytes + [slash] + name)
    }

    /// The last name. Nil where the path ends with none: `/`, `.` and `..`.
    var name: [UInt8]? {
        guard let name = bytes.split(separator: slash).last, !name.isDots else { return nil }
        return Array(name)
    }

    /// Text that is safe to show.
    var shown: String { String(printable: bytes) }

    /// Passes the path to a system call.
    func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result { bytes.withCString(body) }

    /// The same place without `.`, `..` and links.
    var resolved: LocalPath? {
        guard let path = withCString({ realpath($0, nil) }) else { return nil }
        defer { free(path) }
        return LocalPath(
            bytes: UnsafeBufferPointer(start: path, count: strlen(path)).map { UInt8(bitPattern: $0) }
        )
    }

    /// What it names.
    func status(following: Bool) throws(SystemError) -> stat {
        var status = stat()
        let result = withCString { following ? stat($0, &status) : lstat($0, &status) }
        guard result == 0 else { throw .last }
        return status
    }

    /// Where a symbolic link leads.
    func linkTarget() throws(SystemError) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: LinkTarget.maxBytes + 1)
        let count = withCString { path in
            target.withUnsafeMutableBytes { readlink(path, $0.baseAddress!, $0.count) }
        }
        guard count >= 0 else { throw .last }
        return Array(target.prefix(count))
    }

    /// The names in a folder, in the order of their bytes.
    func namesInside() throws(SystemError) -> [[UInt8]] {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        return try OpenFolder.namesInside(withCString { open($0, flags) })
    }
}

extension Collection<UInt8> {
    /// Passes the bytes to a system call, with the NUL that ends them.
    func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        (map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { body($0.baseAddress!) }
    }
}

extension FileKind {
    /// What a status describes.
    init(of status: stat) { self.init(mode: UInt32(status.st_mode)) }
}
