#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A directory that files are made in. It is opened once and names are looked up in it directly, so nothing
/// that happens to its path can lead a file elsewhere. Its calls block on the disk.
package final class Directory: Sendable {
    let descriptor: Int32

    /// Opens a directory. It needs permission to create files in it, and no other.
    ///
    /// - Throws: ``ParleyError``: `fileNotFound`, `permissionDenied`, `tooManyOpenFiles`, `system`.
    package init(_ path: String) throws(ParleyError) {
        assertMayBlock()
        let descriptor = openDirectory(path)
        guard descriptor >= 0 else { throw .file("open", path) }
        self.descriptor = descriptor
    }

    deinit { closeDescriptor(descriptor) }

    /// The kind of the entry with that name; nil when there is none. A symbolic link is not followed.
    package func kind(of name: String) -> FileKind? {
        assertMayBlock()
        var status = stat()
        return fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? FileKind(status) : nil
    }
}
