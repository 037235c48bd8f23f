/// How long to wait before dialing again: exponential backoff with full jitter, so that the peers of a
/// restarted node do not all come back at once.
///
/// Source: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
public struct Backoff: Sendable, Hashable {
    /// The ceiling of the wait after the first failure. It doubles with each further failure.
    public var initial: Duration
    /// The largest ceiling.
    public var longest: Duration
    /// A connection that lasted this long was stable: the failure count starts over.
    public var stable: Duration

    /// Waits of up to 1 second, doubling up to 5 minutes; a connection of one minute is stable.
    public init(
        initial: Duration = .seconds(1),
        longest: Duration = .seconds(300),
        stable: Duration = .seconds(60)
    ) {
        self.initial = initial
        self.longest = longest
        self.stable = stable
    }

    /// For nodes of one local network, such as the machines of a cluster: waits of up to 100 milliseconds,
    /// doubling up to 5 seconds; a connection of 5 seconds is stable. A node that restarts is back within
    /// seconds, and few enough nodes dial it to need no longer waits.
    public static let localNetwork = Backoff(
        initial: .milliseconds(100),
        longest: .seconds(5),
        stable: .seconds(5)
    )

    /// The longest wait after `failures` failures; at least one failure.
    func ceiling(failures: Int) -> Duration {
        let doublings = min(max(0, failures - 1), 62)
        let bound = Double(longest.inMilliseconds)
        return .milliseconds(Int(min(bound, Double(initial.inMilliseconds) * Double(UInt64(1) << doublings))))
    }

    /// A random wait after `failures` failures: uniform in 0...ceiling.
    func delay(failures: Int) -> Duration {
        .milliseconds(UInt64.random(in: 0...ceiling(failures: failures).inMilliseconds))
    }
}
