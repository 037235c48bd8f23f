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

    /// A path that the command line names once; see ``ArgumentPaths``.
    ///
    /// - Parameter option: whose value it is, as `--into`; nil for a path that stands alone.
    init(argument: String, of option: String? = nil) {
        var paths = ArgumentPaths(of: option)
        self = paths.next(argument)
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

/// Paths that the command line names, in their order. Where the argument parser has replaced bytes that are
/// not UTF-8, they are taken from the arguments as the process got them.
struct ArgumentPaths {
    /// The options whose values need not be UTF-8.
    private static let options = ["--into", "--name", "--exclude", "--identity", "--allow-file"]

    /// The arguments that may be meant.
    private let arguments: [[UInt8]]
    /// How often each text has come that may stand for several arguments.
    private var uses: [[UInt8]: Int] = [:]

    /// - Parameters:
    ///   - option: whose values they are; nil for paths that stand alone.
    ///   - arguments: of the process.
    init(of option: String? = nil, among arguments: [[UInt8]] = ArgumentPaths.ofProcess) {
        self.arguments = Self.arguments(arguments, of: option)
    }

    /// The path of a text. Of several arguments that are read as the same text each is taken in its turn.
    mutating func next(_ text: String) -> LocalPath {
        let bytes = Array(text.utf8)
        guard text.unicodeScalars.contains("\u{FFFD}") else { return LocalPath(bytes: bytes) }
        let raw = arguments.filter { String(decoding: $0, as: UTF8.self).utf8.elementsEqual(bytes) }
        let use = uses[bytes, default: 0]
        uses[bytes] = use + 1
        return LocalPath(bytes: use < raw.count ? raw[use] : raw.last ?? bytes)
    }

    /// The values of an option, behind its name or its `=`. Without an option, what is no such value.
    private static func arguments(_ all: [[UInt8]], of option: String?) -> [[UInt8]] {
        let names = (option.map { [$0] } ?? options).map { Array($0.utf8) }
        var values: [[UInt8]] = []
        var others: [[UInt8]] = []
        var rest = all[...]
        while let argument = rest.popFirst() {
            if argument.elementsEqual("--".utf8) {
                others += rest
                break
            }
            if names.contains(argument) {
                if let value = rest.popFirst() { values.append(value) }
            } else if let name = names.first(where: { argument.starts(with: $0 + [UInt8(ascii: "=")]) }) {
                values.append(Array(argument.dropFirst(name.count + 1)))
            } else {
                others.append(argument)
            }
        }
        return option == nil ? others : values
    }

    static var ofProcess: [[UInt8]] {
        (0..<Int(CommandLine.argc)).compactMap { index in
            CommandLine.unsafeArgv[index].map { argument in
                UnsafeBufferPointer(start: argument, count: strlen(argument)).map(UInt8.init(bitPattern:))
            }
        }
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
