import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Where something lies that is to be sent.
enum SourcePlace {
    /// At a path that the user of this machine names.
    case path(LocalPath)
    /// In a folder that is served. No link is followed on the way, nor at its end.
    case served(RelativePath, FolderCursor)

    /// Text that is safe to show, and to tell the other side.
    var shown: String {
        switch self {
        case .path(let path): path.shown
        case .served(let path, _): path.shown
        }
    }

    func appending(_ name: [UInt8]) -> SourcePlace {
        switch self {
        case .path(let path): .path(path.appending(name))
        case .served(let path, let cursor): .served(path.appending(name), cursor)
        }
    }

    /// - Parameter following: whether to look at what a link leads to.
    func status(following: Bool) throws(SystemError) -> stat {
        switch self {
        case .path(let path): try path.status(following: following)
        case .served(let path, let cursor): try cursor.folder(around: path).status(of: path.name)
        }
    }

    /// Where a symbolic link leads.
    func linkTarget() throws(SystemError) -> [UInt8] {
        switch self {
        case .path(let path): return try path.linkTarget()
        case .served(let path, let cursor):
            guard let target = try cursor.folder(around: path).linkTarget(path.name) else { throw .last }
            return target
        }
    }

    /// The names in a folder, in the order of their bytes.
    func namesInside() throws(SystemError) -> [[UInt8]] {
        switch self {
        case .path(let path): try path.namesInside()
        case .served(let path, let cursor):
            try cursor.folder(around: path).inner([path.name]).namesInside()
        }
    }

    /// Opens a file for reading. Returns at once, whatever has the name.
    func open(following: Bool) throws(SystemError) -> Int32 {
        // Without O_NONBLOCK opening a fifo would wait for a writer. To a regular file it means nothing.
        let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
        let descriptor: Int32
        switch self {
        case .path(let path):
            descriptor = path.withCString { openFile($0, flags | (following ? 0 : O_NOFOLLOW)) }
        case .served(let path, let cursor):
            let folder = try cursor.folder(around: path)
            descriptor = path.name.withCString { openat(folder.descriptor, $0, flags | O_NOFOLLOW) }
        }
        guard descriptor >= 0 else { throw .last }
        return descriptor
    }
}

/// open(2), under a name that a type's own `open` method does not hide.
private func openFile(_ path: UnsafePointer<CChar>, _ flags: Int32) -> Int32 { open(path, flags) }
