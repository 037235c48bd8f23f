#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A moment on the monotonic clock, in nanoseconds.
///
/// It replaces `ContinuousClock.Instant`, which is opaque to the compiler and makes every struct that holds
/// one slow to copy. libuv's timers use the same clock, so both can be compared.
///
/// Source: clock_gettime(2), `CLOCK_MONOTONIC`.
package struct MonotonicTime: Comparable, Sendable {
    fileprivate let nanoseconds: UInt64

    private init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static var now: MonotonicTime { MonotonicTime(nanoseconds: nanosecondsNow) }

    /// Nanoseconds since an arbitrary moment in the past.
    static var nanosecondsNow: UInt64 {
        #if canImport(Darwin)
            clock_gettime_nsec_np(CLOCK_UPTIME_RAW)
        #else
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000
                &+ UInt64(truncatingIfNeeded: time.tv_nsec)
        #endif
    }

    /// The same clock in milliseconds, rounded down.
    package static var millisecondsNow: UInt64 { nanosecondsNow / 1_000_000 }

    /// The latest moment, for "no deadline". It takes half the space of an optional.
    static let never = MonotonicTime(nanoseconds: .max)

    /// Converts a moment of `ContinuousClock`, the clock of the public API.
    init(_ instant: ContinuousClock.Instant) { self = .now + ContinuousClock.now.duration(to: instant) }

    /// Adds a duration; the result is clamped to the clock's range.
    package static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        let sum = Int128(time.nanoseconds) + duration.attoseconds / 1_000_000_000
        return MonotonicTime(nanoseconds: UInt64(clamping: sum))
    }

    /// The duration until `other`; negative when `other` is earlier.
    func duration(to other: MonotonicTime) -> Duration {
        other > self
            ? .nanoseconds(Int64(clamping: other.nanoseconds &- nanoseconds))
            : .zero - .nanoseconds(Int64(clamping: nanoseconds &- other.nanoseconds))
    }

    package static func < (one: MonotonicTime, other: MonotonicTime) -> Bool {
        one.nanoseconds < other.nanoseconds
    }
}

extension UInt64 {
    /// How much later this time is than `earlier`; zero when it is not. Threads that read the clock may tell
    /// of it in another order.
    @inline(__always)
    func since(_ earlier: UInt64) -> UInt64 { self &- Swift.min(earlier, self) }
}

extension timespec {
    /// A moment as the system's functions take it.
    init(_ time: MonotonicTime) { self.init(nanoseconds: time.nanoseconds) }

    /// How long it is from `start` until `time`; zero when that is past.
    init(_ time: MonotonicTime, since start: MonotonicTime) {
        self.init(nanoseconds: time.nanoseconds &- min(start, time).nanoseconds)
    }

    private init(nanoseconds: UInt64) {
        self.init(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    }
}

extension Duration {
    /// Milliseconds, rounded up, in 0...2^44 (five centuries), so that adding them to a time cannot overflow.
    var inMilliseconds: UInt64 { min(wholeMilliseconds, 1 << 44) }

    /// Nanoseconds, in 0...2^33 seconds (nearly three centuries).
    var inNanoseconds: UInt64 {
        UInt64(clamping: min(attoseconds / 1_000_000_000, (1 << 33) * 1_000_000_000))
    }

    /// Milliseconds, rounded up, so that a timer never fires early. They are clamped to 0...`UInt64.max / 2`.
    var wholeMilliseconds: UInt64 {
        guard self > .zero else { return 0 }
        return UInt64(min((attoseconds - 1) / 1_000_000_000_000_000 + 1, Int128(UInt64.max / 2)))
    }
}
