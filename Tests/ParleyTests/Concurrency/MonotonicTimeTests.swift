import Testing

@testable import Parley

/// Times and durations at their ends: they are clamped, never wrapped and never trap.
@Suite struct MonotonicTimeTests {
    @Test(
        arguments: [
            (.zero, 0), (.nanoseconds(1), 1), (.microseconds(999), 1), (.milliseconds(1), 1),
            (.nanoseconds(1_000_001), 2), (.seconds(3), 3_000), (.seconds(-3), 0), (.nanoseconds(-1), 0),
            (.seconds(Int64.max), UInt64.max / 2),
        ] as [(Duration, UInt64)]
    )
    func `milliseconds are rounded up`(duration: Duration, milliseconds: UInt64) {
        #expect(duration.wholeMilliseconds == milliseconds)
        #expect(duration.inMilliseconds == min(milliseconds, 1 << 44))
    }

    @Test(
        arguments: [
            (.zero, 0), (.nanoseconds(-1), 0), (.nanoseconds(7), 7),
            (.seconds(2) + .nanoseconds(5), 2_000_000_005),
            (.seconds(Int64.max), (1 << 33) * 1_000_000_000),
        ] as [(Duration, UInt64)]
    )
    func `nanoseconds are exact, and bounded`(duration: Duration, nanoseconds: UInt64) {
        #expect(duration.inNanoseconds == nanoseconds)
    }

    @Test func `a sum beyond the ends of time is the end`() {
        let now = MonotonicTime.now
        #expect(now + .seconds(Int64.max) == .never)
        #expect(now + .seconds(Int64.max) + .seconds(1) == .never)
        #expect(now + .seconds(1) > now && now + .seconds(-1) < now)
        #expect(now + .seconds(Int64.min) < now, "before everything is not after it")
        #expect(now + .seconds(-9_000_000_000) < now)
        #expect(now.duration(to: now + .seconds(5)) == .seconds(5))
        #expect((now + .seconds(5)).duration(to: now) == .seconds(-5))
        #expect(now.duration(to: now) == .zero)
        #expect(now.duration(to: .never) > .seconds(1 << 32))
    }

    @Test(
        arguments: [
            (.seconds(1), 1), (.zero, 1), (.seconds(-4), 1), (.milliseconds(1_900), 1), (.seconds(75), 75),
            (.seconds(32_767), 32_767), (.seconds(32_768), 32_767), (.seconds(Int64.max), 32_767),
        ] as [(Duration, Int32)]
    )
    func `the kernel gets whole seconds that it takes`(duration: Duration, seconds: Int32) {
        #expect(duration.wholeSeconds == seconds)
    }
}
