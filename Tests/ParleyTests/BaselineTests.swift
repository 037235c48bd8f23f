import Gauges
import Testing

/// What the verdicts of `make hostile` are made of.
@Suite struct BaselineTests {
    @Test(arguments: [
        // A quiet second that was luck, and a restless one, move nothing.
        (before: [2_500.0, 100, 2_600], after: [2_400.0, 9_000, 2_300], expected: 2_500),
        // A machine that has become slower in between was slower for what is judged too.
        (before: [2_100.0, 2_100, 2_100], after: [4_000.0, 4_100, 3_900], expected: 4_000),
        // A machine without a disturbance is no measure.
        (before: [100.0, 110, 90], after: [95.0, 105, 100], expected: 2_000),
        (before: [], after: [], expected: 2_000),
    ]) func `quiet is the larger median, or the floor`(before: [Double], after: [Double], expected: Double) {
        var baseline = Baseline(floor: 2_000)
        baseline.before = before
        baseline.after = after
        #expect(baseline.value == expected)
    }

    @Test func `one bad second of many is left out, and not one of a few`() {
        for (count, expected) in [(WindowedSamples.fewestWindows, 1_000.0), (2, 90_000)] {
            var samples = WindowedSamples()
            for window in 0..<count {
                for _ in 0..<100 { samples.add(.milliseconds(window == 1 ? 90 : 1), window: window) }
            }
            #expect(samples.steady.percentile(0.99) == expected)
            #expect(samples.all.percentile(0.99) == 90_000)
        }
    }

    @Test func `what is bad in every second is not left out`() {
        var samples = WindowedSamples()
        for window in 0..<10 {
            for number in 0..<100 { samples.add(.milliseconds(number < 5 ? 90 : 1), window: window) }
        }
        #expect(samples.steady.percentile(0.99) == 90_000)
        #expect(samples.steady.count == 900)
    }
}
