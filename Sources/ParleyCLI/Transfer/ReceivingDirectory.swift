#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The directory that files are received into. It is opened once, and every name is looked up in it directly, so
/// nothing that happens to its path can lead a file elsewhere.
final class ReceivingDirectory: Sendable {
    let descriptor: FileDescriptor

    init(path: String) throws {
        do {
            descriptor = try FileDescriptor(opened: open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        } catch {
            throw Failure("cannot receive into \(path): \(error.reason)")
        }
    }

    /// What has that name; a symbolic link is not followed. Nil when nothing has.
    func kind(of name: FileName) -> stat.Kind? {
        var status = stat()
        return fstatat(descriptor.number, name.text, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.kind : nil
    }
}
