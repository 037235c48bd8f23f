#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file while it arrives: under a temporary name until ``keep()``, and gone when that does not come about.
final class IncomingFile {
    let name: FileName
    private let directory: ReceivingDirectory
    private let temporaryName: String
    private let descriptor: FileDescriptor
    private var isTemporary = true
    private var buffer: [UInt8] = []

    /// Creates the file under its temporary name.
    ///
    /// - Throws: why it cannot be; also when something has its real name already.
    init(_ name: FileName, in directory: ReceivingDirectory) throws(Refusal) {
        if let kind = directory.kind(of: name) { throw Self.exists(name, as: kind) }
        self.name = name
        self.directory = directory
        temporaryName = ".parley-\(String(UInt64.random(in: .min ... .max), radix: 36)).part"
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        do {
            descriptor = try FileDescriptor(
                opened: openat(directory.descriptor.number, temporaryName, flags, 0o666)
            )
        } catch {
            throw Refusal("a file cannot be created: \(error.reason)")
        }
    }

    deinit { remove() }

    /// Removes the temporary name, and with it the file unless it was kept. Idempotent.
    func remove() {
        guard isTemporary else { return }
        isTemporary = false
        unlinkat(directory.descriptor.number, temporaryName, 0)
    }

    /// Appends what has arrived.
    func write(_ bytes: ArraySlice<UInt8>) throws(Refusal) {
        buffer.append(contentsOf: bytes)
        if buffer.count >= filePieceBytes { try flush() }
    }

    /// Gives the complete file its name, unless something else has it by now. After a crash of the machine the
    /// name stands for the whole file or for nothing.
    func keep() throws(Refusal) {
        try flush()
        guard fsync(descriptor.number) == 0 else { throw Self.unwritable(.last) }
        let directory = directory.descriptor.number
        // link(2), because rename(2) replaces what is there.
        guard linkat(directory, temporaryName, directory, name.text, 0) == 0 else {
            let error = SystemError.last
            if error.code == EEXIST { throw Self.exists(name, as: self.directory.kind(of: name) ?? .regular) }
            throw Refusal("the file cannot get its name: \(error.reason)")
        }
        remove()
    }

    private func flush() throws(Refusal) {
        do { try writeAll(buffer, to: descriptor.number) } catch { throw Self.unwritable(error) }
        buffer.removeAll(keepingCapacity: true)
    }

    private static func unwritable(_ error: SystemError) -> Refusal {
        Refusal("the file cannot be written: \(error.reason)")
    }

    private static func exists(_ name: FileName, as kind: stat.Kind) -> Refusal {
        Refusal("\"\(name.text)\" exists already, as \(kind)")
    }
}
