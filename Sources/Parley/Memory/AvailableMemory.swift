#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Whether memory for a large buffer can be had.
///
/// Swift ends the process when it cannot allocate an array. So a large buffer is tried first: a mapping of
/// the same size is made and removed. Another thread can take the memory in between, and where the kernel
/// promises more memory than it has, it may end the process when the buffer is filled.
package enum AvailableMemory {
    /// Smaller buffers are not tried.
    package static let triedBytes = 1 << 20

    /// Throws `outOfMemory` when there is no memory for `what`.
    package static func check(
        _ bytes: Int,
        for what: @autoclosure () -> String
    ) throws(ParleyError) {
        guard bytes >= triedBytes, !canMap(bytes) else { return }
        throw ParleyError(.outOfMemory, "there is no memory for \(what()) of \(bytes) bytes")
    }

    private static func canMap(_ bytes: Int) -> Bool {
        let mapping = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
        guard let mapping, mapping != MAP_FAILED else { return false }
        munmap(mapping, bytes)
        return true
    }
}
