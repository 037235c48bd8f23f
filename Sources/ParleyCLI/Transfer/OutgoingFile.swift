#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file to be sent: of the size that it had when it was opened, and unchanged since.
struct OutgoingFile {
    let path: String
    let name: FileName
    let size: Int
    private let descriptor: FileDescriptor
    private let version: Version

    /// By which a change shows.
    private struct Version: Equatable {
        let size: Int
        let seconds: Int
        let nanoseconds: Int

        init(_ status: stat) {
            #if canImport(Darwin)
                let modified = status.st_mtimespec
            #else
                let modified = status.st_mtim
            #endif
            size = Int(status.st_size)
            (seconds, nanoseconds) = (Int(modified.tv_sec), Int(modified.tv_nsec))
        }
    }

    init(path: String) throws {
        self.path = path
        do {
            // Opening a pipe would wait for its writer.
            descriptor = try FileDescriptor(opened: open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC))
            let status = try descriptor.status()
            guard status.kind == .regular else { throw Failure("cannot send \(path): it is \(status.kind)") }
            version = Version(status)
            size = version.size
            name = try FileName(checking: path.utf8.split(separator: UInt8(ascii: "/")).last ?? [])
        } catch let error as SystemError {
            throw Failure("cannot open \(path): \(error.reason)")
        } catch let refusal as Refusal {
            throw Failure("cannot send \(path): \(refusal.reason)")
        }
    }

    /// The next bytes of the file; the last ones only while it is still what was opened. So a receiver never gets
    /// all of a file that was written to meanwhile.
    func read(after offset: Int) throws -> [UInt8] {
        do {
            let piece = try readSome(min(filePieceBytes, size - offset), from: descriptor.number)
            if piece.isEmpty || offset + piece.count == size { try checkUnchanged() }
            return piece
        } catch let error as SystemError {
            throw Failure("cannot read \(path): \(error.reason)")
        }
    }

    /// - Throws: a sentence about how it has changed.
    func checkUnchanged() throws {
        let now = Version(try descriptor.status())
        guard now != version else { return }
        let change =
            switch now.size - size {
            case ..<0: "became shorter (\(now.size) bytes instead of \(size))"
            case 0: "was written to"
            default: "became longer (\(now.size) bytes instead of \(size))"
            }
        throw Failure("\(path) \(change) while it was being sent")
    }
}
