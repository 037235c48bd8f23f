/// How long to wait before dialing again: exponential, with full jitter, so that the nodes of one that has restarted do not
/// come back all at once.
///
/// Source: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
public struct Backoff: Sendable, Hashable {
    /// The longest wait behind the first failure; it doubles with each further one.
    public var initial: Duration
    /// It grows no longer than this.
    public var longest: Duration
    /// A connection that has lasted so long was a success: the next failure is the first again.
    public var stable: Duration

    /// Up to 1 second, doubling up to 5 minutes; over after a stable minute.
    public init(
        initial: Duration = .seconds(1),
        longest: Duration = .seconds(300),
        stable: Duration = .seconds(60)
    ) {
        self.initial = initial
        self.longest = longest
        self.stable = stable
    }

    /// The longest wait behind so many failures, at least one.
    func ceiling(failures: Int) -> Duration {
        let doublings = min(max(0, failures - 1), 62)
        let bound = Double(longest.inMilliseconds)
        return .milliseconds(Int(min(bound, Double(initial.inMilliseconds) * Double(UInt64(1) << doublings))))
    }

    /// A wait behind so many failures: any up to the ceiling, alike.
    func delay(failures: Int) -> Duration {
        .milliseconds(UInt64.random(in: 0...ceiling(failures: failures).inMilliseconds))
    }
}
