import CFiles

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What is kept of an entry beside its content.
struct Metadata: Equatable {
    /// Who may read, write and execute it: the nine permission bits. Set-user-id and its like never travel.
    let mode: UInt32
    /// When it was last written to.
    let modified: Timestamp

    init(mode: UInt32, modified: Timestamp) {
        self.mode = mode & 0o777
        self.modified = modified
    }

    init(_ status: stat) { self.init(mode: UInt32(status.st_mode), modified: Timestamp(status)) }
}

/// Seconds since 1970, and what is left of them.
struct Timestamp: Equatable {
    static let nanosecondsPerSecond: UInt32 = 1_000_000_000

    let seconds: Int64
    /// Below ``nanosecondsPerSecond``: larger values mean something else to the system.
    let nanoseconds: UInt32

    init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = min(nanoseconds, Self.nanosecondsPerSecond - 1)
    }

    init(_ status: stat) {
        #if canImport(Darwin)
            let modified = status.st_mtimespec
        #else
            let modified = status.st_mtim
        #endif
        self.init(seconds: Int64(modified.tv_sec), nanoseconds: UInt32(modified.tv_nsec))
    }

    /// For utimensat(2): the time of the last access, which stays now, and this one.
    var accessedNowModifiedThen: [timespec] {
        [
            timespec(tv_sec: 0, tv_nsec: Int(cfiles_UTIME_NOW)),
            timespec(tv_sec: time_t(seconds), tv_nsec: Int(nanoseconds)),
        ]
    }
}
