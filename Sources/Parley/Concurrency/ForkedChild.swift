#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Whether this process is a forked child of one that had used the library.
///
/// Such a child has one thread. Loops, resolvers and Swift's pool are gone, and locks may be held by threads
/// that no longer exist. So every call fails there before it takes a lock or waits, and what the child shares
/// with its parent, such as sockets, stays untouched.
///
/// Source: fork(2), pthread_atfork(3).
@usableFromInline
package enum ForkedChild {
    // Written once, in a process that has one thread at that time. Each message asks for it, and a checked
    // access costs instructions.
    @exclusivity(unchecked) @usableFromInline nonisolated(unsafe) static var isIt = false

    @inlinable package static var isThisProcess: Bool { isIt }

    /// Throws `forked` in such a child.
    package static func check() throws(ParleyError) {
        if isIt { throw error }
    }

    /// Notes that this process uses the library. Any thread.
    static func noteUse() { _ = handler }

    private static let error = ParleyError(
        .forked,
        "the library does not work in a forked child of a process that has used it: its threads are gone"
    )

    private static let handler: Void = {
        // Made now: in the child a lock of the allocator may be all that is needed for it.
        _ = error
        let status = pthread_atfork(nil, nil) { ForkedChild.isIt = true }
        precondition(status == 0, "out of memory for a fork handler")
    }()
}
