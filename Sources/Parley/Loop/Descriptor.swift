import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

// System calls on descriptors, under names that a type's own methods do not hide, and in one form for all
// platforms.

/// close(2), under a name that a type's own `close` method does not hide.
func closeDescriptor(_ descriptor: Int32) { _ = close(descriptor) }

/// write(2), under a name that a type's own `write` method does not hide.
func writeDescriptor(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}

/// Opens a directory to look names up in it; where the system can, without permission to list them.
func openDirectory(_ path: String) -> Int32 {
    #if os(Linux)
        let mode = clibuv_O_PATH
    #else
        let mode = O_RDONLY
    #endif
    return aboveStandard(open(path, mode | O_DIRECTORY | O_CLOEXEC))
}

/// A rename within a directory that never replaces anything; 0, or -1 and `errno`.
func renameExclusively(_ directory: Int32, _ from: String, _ to: String) -> Int32 {
    #if os(Linux)
        clibuv_rename_exclusively(directory, from, to)
    #else
        renameatx_np(directory, from, directory, to, UInt32(RENAME_EXCL))
    #endif
}
