import CLibUV

/// A moment on the monotonic clock, as one number: a `ContinuousClock.Instant` is opaque to the compiler, and makes every
/// struct that holds one slow to copy.
///
/// Source: <https://docs.libuv.org/en/v1.x/misc.html#c.uv_hrtime>
package struct Moment: Comparable, Sendable {
    private let nanoseconds: UInt64

    private init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static var now: Moment { Moment(nanoseconds: uv_hrtime()) }

    /// Later than any other: the deadline of what has none, in half the space of an optional one.
    static let never = Moment(nanoseconds: .max)

    /// The same moment on the clock that the API uses.
    init(_ instant: ContinuousClock.Instant) { self = .now + ContinuousClock.now.duration(to: instant) }

    /// Never beyond what the clock can count, in either direction.
    package static func + (moment: Moment, duration: Duration) -> Moment {
        let (seconds, attoseconds) = duration.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return Moment(nanoseconds: seconds < 0 ? 0 : .max) }
        let delta = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        guard !delta.overflow else { return Moment(nanoseconds: seconds < 0 ? 0 : .max) }
        let (sum, sumOverflow) =
            delta.partialValue < 0
            ? moment.nanoseconds.subtractingReportingOverflow(delta.partialValue.magnitude)
            : moment.nanoseconds.addingReportingOverflow(delta.partialValue.magnitude)
        return Moment(nanoseconds: sumOverflow ? (delta.partialValue < 0 ? 0 : .max) : sum)
    }

    /// How long it is until `other`; negative when that is earlier.
    func duration(to other: Moment) -> Duration {
        other > self
            ? .nanoseconds(Int64(clamping: other.nanoseconds &- nanoseconds))
            : .zero - .nanoseconds(Int64(clamping: nanoseconds &- other.nanoseconds))
    }

    package static func < (one: Moment, other: Moment) -> Bool { one.nanoseconds < other.nanoseconds }
}
