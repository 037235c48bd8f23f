import CLinux

/// Keeps the calling thread, and those that it starts from now on, on one core.
///
/// - Returns: whether the system does it; nowhere but on Linux.
public func pin(toCore core: Int) -> Bool {
    #if canImport(Glibc)
        // A bit for each of 1,024 cores, as sched_setaffinity(2) has it.
        var cores = [UInt64](repeating: 0, count: 16)
        cores[core / 64] |= 1 << (core % 64)
        return sched_setaffinity(0, cores.count * 8, cores) == 0
    #else
        return false
    #endif
}
