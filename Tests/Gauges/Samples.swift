import Foundation

/// A set of durations and their percentiles.
public struct Samples: Sendable {
    private var values: [Double] = []

    /// No samples.
    public init() {}

    /// Adds a sample.
    public mutating func add(_ duration: Duration) { values.append(duration / .microseconds(1)) }

    /// Adds the samples of another value.
    public mutating func add(_ others: Samples) { values += others.values }

    /// The number of samples.
    public var count: Int { values.count }

    /// The quantile at `share` (0...1), in microseconds; 0 without samples.
    public func percentile(_ share: Double) -> Double {
        guard !values.isEmpty else { return 0 }
        let rank = Int((share * Double(values.count)).rounded(.up)) - 1
        return values.sorted()[max(0, min(values.count - 1, rank))]
    }

    /// `p50 21 us, p99 60 us, p99.9 93 us, max 120 us (1000 samples)`
    public var summary: String {
        let figures = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1)].map { name, share in
            "\(name) \(String(format: "%.0f", percentile(share))) us"
        }
        return figures.joined(separator: ", ") + " (\(count) samples)"
    }
}

/// Times, by the second in which each began.
public struct WindowedSamples: Sendable {
    private var windows: [Int: Samples] = [:]

    /// With fewer windows than this one of them is too large a part of all to be left out.
    public static let fewestWindows = 5

    /// None yet.
    public init() {}

    /// Adds one.
    public mutating func add(_ duration: Duration, window: Int) {
        windows[window, default: Samples()].add(duration)
    }

    /// All of them.
    public var all: Samples { Self.joined(Array(windows.values)) }

    /// All but those of the worst window, the one with the highest 99th percentile; all of a few windows.
    ///
    /// A second in which the machine did something else is left out; what is there all the time is in the
    /// others too.
    public var steady: Samples {
        guard windows.count >= Self.fewestWindows else { return all }
        return Self.joined(windows.values.sorted { $0.percentile(0.99) < $1.percentile(0.99) }.dropLast())
    }

    private static func joined(_ windows: [Samples]) -> Samples {
        windows.reduce(into: Samples()) { $0.add($1) }
    }
}

/// A value over time, and its least-squares line.
public struct Trend: Sendable {
    private var points: [(seconds: Double, value: Double)] = []

    /// No points.
    public init() {}

    /// Adds a point.
    public mutating func add(_ value: Int, at seconds: Double) { points.append((seconds, Double(value))) }

    /// The number of points.
    public var count: Int { points.count }

    /// The mean of all values.
    public var mean: Double { points.isEmpty ? 0 : points.reduce(0) { $0 + $1.value } / Double(points.count) }

    /// The slope of the line, for each second; 0 with fewer than two points.
    public var slope: Double {
        guard points.count > 1 else { return 0 }
        let center = points.reduce(0) { $0 + $1.seconds } / Double(points.count)
        let (products, squares) = points.reduce((0.0, 0.0)) { sums, point in
            let distance = point.seconds - center
            return (sums.0 + distance * (point.value - mean), sums.1 + distance * distance)
        }
        return squares > 0 ? products / squares : 0
    }

    /// The rise of the line from the first point to the last.
    public var rise: Double {
        guard let first = points.first, let last = points.last else { return 0 }
        return slope * (last.seconds - first.seconds)
    }
}
