import CLinux

/// Pins the calling thread, and the threads that it starts later, to one core.
///
/// - Returns: whether it was pinned; always false on systems other than Linux.
public func pin(toCore core: Int) -> Bool {
    #if canImport(Glibc)
        // One bit for each of 1,024 cores, as in sched_setaffinity(2).
        var cores = [UInt64](repeating: 0, count: 16)
        cores[core / 64] |= 1 << (core % 64)
        return sched_setaffinity(0, cores.count * 8, cores) == 0
    #else
        return false
    #endif
}
