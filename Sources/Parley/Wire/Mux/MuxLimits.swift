/// What one session may take.
///
/// | bounded | by |
/// |---|---|
/// | received bytes that wait for readers | ``maxGrantedBytes``, whatever the other side sends |
/// | bytes that wait to be sent | ``maxUnsentBytes`` for each stream |
/// | streams | ``maxRemoteStreams``; own ones by ``maxUnacknowledged``, ``maxStreams``, ``maxGrantedBytes`` |
/// | control frames that wait | ``maxAnswers``, one window update for each stream, and resets of own ones |
/// | ids that were skipped | ``UsedStreamIDs/maxGaps`` |
/// | processor time for nothing | the rates |
struct MuxLimits: Sendable, Equatable {
    /// The most streams of the other side. Further ones are reset.
    var maxRemoteStreams = 1_024
    /// The most streams of this side that the other side has not acknowledged. Further ones wait. The value
    /// of the libp2p specification, which every implementation buffers.
    var maxUnacknowledged = 256
    /// How many streams there may be before this side opens no more, and waits.
    var maxStreams = Int.max
    /// The most streams of the other side that this side has not acknowledged. Further ones are reset.
    var maxUnaccepted = 256
    /// How many streams the other side may open in a second. Further ones are reset; at twice the rate the
    /// session ends.
    var streamsPerSecond = 10_000
    /// The sum of all receive windows. A stream takes 256 KiB from its opening on, and more when its window
    /// grows; grown windows take at most half, so that new streams find room. May be changed at any time:
    /// what is granted stays granted.
    var maxGrantedBytes = 256 << 20
    /// The largest receive window of a stream.
    var maxWindowBytes: UInt32 = 16 << 20
    /// The most bytes of one stream that wait to be sent. Writes then accept nothing.
    var maxUnsentBytes = 256 << 10
    /// The most resets of the other side's streams that wait to be written before it may open no more,
    /// whether they were refused or taken and aborted here.
    var maxAnswers = 1_024
    /// The most pings that wait for their answer to be written.
    var maxUnansweredPings = 16
    var pingsPerSecond = 1_000
    /// How many frames that change nothing the other side may send in a second.
    var idleFramesPerSecond = 1_000
    /// How many window updates for streams that are gone the other side may send in a second. Some
    /// implementations send one with each read, and their readers still read when this side is done.
    var lateUpdatesPerSecond = 100_000
}

/// Counts events against a rate. One second's worth may come at once.
struct RateLimit: Sendable {
    /// Up to when the counted events use the rate up, in nanoseconds.
    private var usedUntil: UInt64 = 0

    private static let second: UInt64 = 1_000_000_000

    /// Counts an event, unless it is over the rate. `now` is in nanoseconds.
    mutating func admits(perSecond: Int, at now: UInt64) -> Bool {
        let cost = Self.second / UInt64(min(max(1, perSecond), Int(Self.second)))
        let start = max(usedUntil, now)
        guard start &- now <= Self.second &- cost else { return false }
        usedUntil = start &+ cost
        return true
    }
}

/// The ids that the other side has used for streams. They may come out of order: an implementation may
/// choose the id first and send it later.
struct UsedStreamIDs: Sendable {
    /// The lowest id above all used ones. Beyond 32 bits when there is none.
    private var next: UInt64
    /// The ids below `next` that were not used, in ascending order. All ends have the same parity.
    private var gaps: [ClosedRange<UInt32>] = []

    /// The most gaps that are remembered. The ids of older ones count as used.
    static let maxGaps = 1_024

    /// - Parameter first: the first id of the side: 1 or 2.
    init(first: UInt32) { next = UInt64(first) }

    /// Whether the id was used, or is too old to tell.
    func contains(_ id: UInt32) -> Bool { UInt64(id) < next && gap(of: id) == nil }

    /// Marks an id as used; false when it was already.
    mutating func use(_ id: UInt32) -> Bool {
        guard UInt64(id) < next else {
            if UInt64(id) > next { append(UInt32(next)...(id &- 2)) }
            next = UInt64(id) + 2
            return true
        }
        guard let index = gap(of: id) else { return false }
        let gap = gaps[index]
        var rest: [ClosedRange<UInt32>] = []
        if gap.lowerBound < id { rest.append(gap.lowerBound...(id - 2)) }
        if id < gap.upperBound { rest.append((id + 2)...gap.upperBound) }
        gaps.replaceSubrange(index...index, with: rest)
        forgetOldest()
        return true
    }

    private mutating func append(_ gap: ClosedRange<UInt32>) {
        gaps.append(gap)
        forgetOldest()
    }

    private mutating func forgetOldest() {
        if gaps.count > Self.maxGaps { gaps.removeFirst() }
    }

    /// The index of the gap that contains the id.
    private func gap(of id: UInt32) -> Int? {
        var (low, high) = (0, gaps.count)
        while low < high {
            let middle = (low + high) / 2
            if gaps[middle].upperBound < id { low = middle + 1 } else { high = middle }
        }
        return low < gaps.count && gaps[low].contains(id) ? low : nil
    }
}
