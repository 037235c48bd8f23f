import Testing

@testable import Parley

/// Whether a connection is alive: tables with times as numbers, in milliseconds. No clock runs here.
@Suite struct HealthTests {
    private typealias TimeLimits = Health.TimeLimits
    private typealias Snapshot = Health.Snapshot
    private typealias Verdict = Health.Verdict

    /// Looks at `first` and whenever the verdicts say so, as a connection does.
    ///
    /// - Returns: the first failure and its time; nil when there is none before `end`.
    private func failure(
        of health: inout Health,
        _ limits: Health.TimeLimits,
        from first: UInt64,
        until end: UInt64,
        onHeartbeat: (inout Health, Health.Snapshot) -> Void = { _, _ in },
        _ snapshot: (UInt64) -> Health.Snapshot
    ) -> (Health.Failure, at: UInt64)? {
        var now = first
        while now < end {
            let seen = snapshot(now)
            let verdict = health.check(seen, limits)
            if let failure = verdict.failure { return (failure, now) }
            if verdict.isHeartbeatDue { onHeartbeat(&health, seen) }
            if verdict.next == .max { return nil }
            now = max(verdict.next, now + 1)
        }
        return nil
    }

    // MARK: Handshake

    @Test func `the handshake ends at its deadline, and not before`() {
        var limits = TimeLimits()
        limits.handshake = 1_000
        var health = Health()
        #expect(health.handshakeBegins(at: 5_000, limits) == 6_000)
        #expect(health.check(Snapshot(now: 5_999, isStarting: true), limits) == Verdict(next: 6_000))
        #expect(health.check(Snapshot(now: 6_000, isStarting: true), limits) == Verdict(failure: .handshake))
        #expect(health.check(Snapshot(now: 6_001, isStarting: true), limits) == Verdict(failure: .handshake))
        #expect(health.check(Snapshot(now: 6_001), limits) == Verdict(), "open, and not told yet")
        #expect(health.opened(at: 5_999, limits) == .max)
        #expect(health.check(Snapshot(now: 9_000, isStarting: true), limits) == Verdict())
    }

    @Test func `no handshake is awaited that did not begin, and one without limit is for ever`() {
        var health = Health()
        #expect(health.check(Snapshot(now: 1 << 60, isStarting: true), TimeLimits()) == Verdict())
        #expect(health.handshakeBegins(at: 1 << 40, TimeLimits()) == 1 << 40 + 1 << 44)
        #expect(health.check(Snapshot(now: 1 << 42, isStarting: true), TimeLimits()).failure == nil)
    }

    // MARK: Idle

    private struct IdleCase: Sendable {
        var what: String
        var snapshot: Health.Snapshot
        var isIdle = false
        var next: UInt64 = .max
    }

    /// With idle 1,000, opened at 5,000.
    private static let idleCases: [IdleCase] = [
        .init(what: "too early", snapshot: .init(now: 5_999), next: 6_000),
        .init(what: "nothing came or went", snapshot: .init(now: 6_000), isIdle: true),
        .init(
            what: "long ago",
            snapshot: .init(now: 6_500, lastActivity: 4_000, lastHanded: 3_000),
            isIdle: true
        ),
        .init(what: "bytes came", snapshot: .init(now: 6_000, lastActivity: 5_500), next: 6_500),
        .init(what: "bytes went", snapshot: .init(now: 6_000, lastHanded: 5_600), next: 6_600),
        .init(
            what: "the later counts",
            snapshot: .init(now: 6_000, lastActivity: 5_100, lastHanded: 5_001),
            next: 6_100
        ),
        .init(what: "a heartbeat came", snapshot: .init(now: 6_000, lastArrival: 5_900), isIdle: true),
        .init(
            what: "the last bytes are as old",
            snapshot: .init(now: 6_500, lastActivity: 5_500),
            isIdle: true
        ),
        .init(
            what: "another thread's clock is ahead",
            snapshot: .init(now: 6_000, lastActivity: 6_001),
            next: 7_001
        ),
        .init(what: "still starting", snapshot: .init(now: 9_000, isStarting: true)),
    ]

    @Test(arguments: idleCases.indices)
    func `a connection is idle when nothing came and nothing went`(index: Int) {
        var limits = TimeLimits()
        limits.idle = 1_000
        var health = Health()
        #expect(health.opened(at: 5_000, limits) == 6_000)
        let fact = Self.idleCases[index]
        let verdict = health.check(fact.snapshot, limits)
        #expect(verdict == Verdict(failure: fact.isIdle ? .idle : nil, next: fact.next), "\(fact.what)")
        #expect(
            health.check(fact.snapshot, TimeLimits()).failure == nil,
            "without the time-out nothing is idle"
        )
    }

    @Test func `a peer answered directly at 0_76 s is not idle at 1_03 s`() throws {
        var queue = SendQueue()
        try queue.append { (buffer) throws(ParleyError) in buffer.append([1, 2, 3]) }
        queue.writeDirectly(at: 760) { buffer in
            buffer.removeFirst(3)
            return .written(3)
        }
        var limits = TimeLimits()
        limits.idle = 1_000
        var health = Health()
        _ = health.opened(at: 0, limits)
        var snapshot = Snapshot(now: 1_030)
        snapshot.lastHanded = queue.lastHanded
        #expect(health.check(snapshot, limits) == Verdict(next: 1_760))
        snapshot.now = 1_760
        #expect(health.check(snapshot, limits).failure == .idle)
    }

    /// Idle 1,000; the link is not read, and something lies in its socket.
    @Test(arguments: [
        (what: "old bytes", bytesPerSecond: 0, isFull: false, isKept: false),
        (what: "growing", bytesPerSecond: 10, isFull: false, isKept: true),
        (what: "full", bytesPerSecond: 0, isFull: true, isKept: true),
    ]) func `unread bytes keep a peer only while they grow, or it can send no more`(
        what: String,
        bytesPerSecond: Int,
        isFull: Bool,
        isKept: Bool
    ) {
        var limits = TimeLimits()
        limits.idle = 1_000
        var health = Health()
        let first = health.opened(at: 10_000, limits)
        let failed = failure(of: &health, limits, from: first - 500, until: 60_000) { now in
            let unread = 1_000 + Int(now - 9_500) * bytesPerSecond / 1_000
            return Snapshot(
                now: now,
                isReading: false,
                lastActivity: 9_000,
                link: .init(socketUnreadBytes: unread, isFull: isFull)
            )
        }
        if isKept {
            #expect(failed == nil, "\(what)")
        } else {
            // Seen first at 10,500, they are news once.
            #expect(failed?.0 == .idle && failed?.at == 11_500)
        }
    }

    private func idleAfterASecond() -> (Health, TimeLimits) {
        var limits = TimeLimits()
        limits.idle = 1_000
        var health = Health()
        _ = health.opened(at: 0, limits)
        return (health, limits)
    }

    /// Unread bytes in a socket that is not read, unless `isReading`.
    private func snapshot(_ now: UInt64, _ unread: Int, isReading: Bool = false) -> Snapshot {
        Snapshot(now: now, isReading: isReading, link: .init(socketUnreadBytes: unread))
    }

    @Test func `fewer unread bytes are no news, and unread bytes of a link that is read are none`() {
        var (health, limits) = idleAfterASecond()
        #expect(health.check(snapshot(500, 100), limits).next == 1_500)
        #expect(health.check(snapshot(900, 50), limits).failure == nil)
        #expect(health.check(snapshot(1_400, 51), limits).failure == nil, "one more than last time is news")
        #expect(health.check(snapshot(2_399, 51), limits).failure == nil)
        var read = health
        #expect(read.check(snapshot(2_000, 99, isReading: true), limits).failure == .idle)
        #expect(health.check(snapshot(2_400, 51), limits).failure == .idle)
    }

    @Test(arguments: [1, 100]) func `what was read counts as what it was, and is news no more`(unread: Int) {
        var (health, limits) = idleAfterASecond()
        #expect(health.check(snapshot(500, unread), limits).next == 1_500)
        // They were heartbeats: nothing of use had arrived.
        #expect(health.check(snapshot(900, 0, isReading: true), limits).next == 1_000)
        #expect(health.check(snapshot(1_000, 0), limits).failure == .idle)
    }

    @Test func `bytes that lay in a socket while it was read are news when it is not read`() {
        var (health, limits) = idleAfterASecond()
        #expect(health.check(snapshot(500, 100, isReading: true), limits).next == 1_000)
        #expect(health.check(snapshot(900, 100), limits).failure == nil)
        #expect(health.check(snapshot(1_899, 100), limits).failure == nil)
        #expect(health.check(snapshot(1_900, 100), limits).failure == .idle)
    }

    // MARK: Heartbeats

    private func beating(every interval: UInt64, maxMissed: Int) -> (Health, Health.TimeLimits, first: UInt64)
    {
        var limits = TimeLimits()
        limits.heartbeat = interval
        limits.maxMissedHeartbeats = maxMissed
        var health = Health()
        let first = health.opened(at: 0, limits)
        return (health, limits, first)
    }

    @Test func `heartbeats are due at their times`() {
        var (health, limits, first) = beating(every: 1_000, maxMissed: 3)
        #expect(first == 1_000)
        #expect(health.check(Snapshot(now: 999), limits) == Verdict(next: 1_000))
        #expect(health.check(Snapshot(now: 1_000), limits) == Verdict(isHeartbeatDue: true, next: 2_000))
        #expect(health.check(Snapshot(now: 1_001), limits) == Verdict(next: 2_000))
        #expect(health.check(Snapshot(now: 2_300), limits) == Verdict(isHeartbeatDue: true, next: 3_300))
        #expect(
            health.check(Snapshot(now: 9_999, isStarting: true), limits) == Verdict(),
            "not before it is open"
        )
        health.stopHeartbeats()
        #expect(health.check(Snapshot(now: 9_999), limits) == Verdict())
    }

    @Test(arguments: 1...4) func `so many unanswered heartbeats end the connection`(maxMissed: Int) {
        var (health, limits, first) = beating(every: 1_000, maxMissed: maxMissed)
        var sent: UInt64 = 0
        let failed = failure(
            of: &health,
            limits,
            from: first,
            until: 60_000,
            onHeartbeat: { health, _ in
                sent += 9
                health.heartbeatSent(endingAt: sent)
            },
            { now in Snapshot(now: now, handedBytes: sent) }
        )
        #expect(failed?.0 == .heartbeat && failed?.at == UInt64(1_000 * (1 + maxMissed)))
        #expect(health.missedHeartbeats == maxMissed)
        #expect(sent == UInt64(9 * maxMissed))
    }

    @Test func `an answer and anything else that arrives make up for missed heartbeats`() {
        var (health, limits, _) = beating(every: 1_000, maxMissed: 3)
        // Acknowledged and unanswered: a byte is handed over, and nothing is unacknowledged.
        func snapshot(_ now: UInt64, lastArrival: UInt64 = 0) -> Snapshot {
            Snapshot(now: now, lastArrival: lastArrival, handedBytes: 1)
        }
        #expect(health.check(Snapshot(now: 1_000), limits).isHeartbeatDue)
        health.heartbeatSent(endingAt: 1)
        #expect(health.check(snapshot(2_000), limits).failure == nil && health.missedHeartbeats == 1)
        #expect(health.check(snapshot(3_000), limits).failure == nil && health.missedHeartbeats == 2)
        health.heartbeatAnswered()
        #expect(health.missedHeartbeats == 0)
        #expect(health.check(snapshot(4_000), limits).failure == nil)
        #expect(health.missedHeartbeats == 0, "none is on its way")
        health.heartbeatSent(endingAt: 1)
        #expect(health.check(snapshot(5_000), limits).isHeartbeatDue && health.missedHeartbeats == 1)
        #expect(health.check(snapshot(6_000, lastArrival: 5_001), limits).isHeartbeatDue)
        #expect(health.missedHeartbeats == 0, "what arrived since the last heartbeat is a sign")
        health.heartbeatSent(endingAt: 1)
        #expect(health.check(snapshot(7_000, lastArrival: 6_000), limits).isHeartbeatDue)
        #expect(health.missedHeartbeats == 0, "so is what arrived in the same millisecond")
        health.heartbeatSent(endingAt: 1)
        #expect(health.check(snapshot(8_000, lastArrival: 6_999), limits).isHeartbeatDue)
        #expect(health.missedHeartbeats == 1, "what arrived before it is none")
    }

    @Test func `a heartbeat is missed when nothing has arrived since the clock began`() {
        var (health, limits, _) = beating(every: 1_000, maxMissed: 1)
        health.heartbeatSent(endingAt: 9)
        #expect(health.check(Snapshot(now: 1_000, handedBytes: 9), limits).failure == .heartbeat)
    }

    @Test func `one heartbeat at a time is on its way`() {
        var (health, limits, _) = beating(every: 1_000, maxMissed: 10)
        #expect(health.check(Snapshot(now: 1_000, handedBytes: 500), limits).isHeartbeatDue)
        health.heartbeatSent(endingAt: 600)
        func snapshot(_ now: UInt64, unacknowledged: Int) -> Snapshot {
            Snapshot(now: now, handedBytes: 600, link: .init(unacknowledgedBytes: unacknowledged))
        }
        #expect(!health.check(snapshot(2_000, unacknowledged: 1), limits).isHeartbeatDue)
        var answered = health
        var arrival = snapshot(3_000, unacknowledged: 1)
        arrival.lastArrival = 2_500
        #expect(answered.check(arrival, limits).isHeartbeatDue, "what arrives answers for the last one")
        #expect(health.check(snapshot(3_000, unacknowledged: 0), limits).isHeartbeatDue)
    }

    /// 16 MiB to a reader of 400 KB/s, a heartbeat every 300 ms, three may be missed: no heartbeat has room
    /// for 40 s.
    @Test func `heartbeats that could not be sent are not missed while bytes get through`() {
        var (health, limits, first) = beating(every: 300, maxMissed: 3)
        let total: UInt64 = 16 << 20
        let failed = failure(
            of: &health,
            limits,
            from: first,
            until: 40_000,
            onHeartbeat: { health, _ in health.heartbeatBlocked() },
            { now in
                let acknowledged = min(total, now * 400)
                let handed = min(total, acknowledged + 1 << 20)
                return Snapshot(
                    now: now,
                    handedBytes: handed,
                    link: .init(unacknowledgedBytes: Int(handed - acknowledged))
                )
            }
        )
        #expect(failed == nil)
        #expect(health.missedHeartbeats == 0)
    }

    @Test func `heartbeats that could not be sent are missed when nothing is acknowledged`() {
        var (health, limits, first) = beating(every: 300, maxMissed: 3)
        var tries = 0
        let failed = failure(
            of: &health,
            limits,
            from: first,
            until: 60_000,
            onHeartbeat: { health, _ in
                tries += 1
                health.heartbeatBlocked()
            },
            { now in Snapshot(now: now, handedBytes: 1 << 20, link: .init(unacknowledgedBytes: 1 << 20)) }
        )
        #expect(failed?.0 == .heartbeat && failed?.at == 1_200)
        #expect(tries == 3, "it tries again each time")
    }

    @Test func `a heartbeat behind other bytes is missed when those stop, and when it has come through`() {
        var (health, limits, _) = beating(every: 1_000, maxMissed: 1)
        #expect(health.check(Snapshot(now: 1_000), limits).isHeartbeatDue)
        health.heartbeatSent(endingAt: 100_000)
        func snapshot(_ now: UInt64, acknowledged: Int) -> Snapshot {
            Snapshot(now: now, handedBytes: 100_000, link: .init(unacknowledgedBytes: 100_000 - acknowledged))
        }
        #expect(health.check(snapshot(2_000, acknowledged: 30_000), limits).failure == nil)
        #expect(health.check(snapshot(3_000, acknowledged: 60_000), limits).failure == nil)
        var stuck = health
        #expect(stuck.check(snapshot(4_000, acknowledged: 60_000), limits).failure == .heartbeat)
        #expect(
            health.check(snapshot(4_000, acknowledged: 100_000), limits).failure == .heartbeat,
            "it has the ping"
        )
    }

    @Test(arguments: [true, false])
    func `of a peer that is not read an acknowledged heartbeat is a sign of life`(isAcknowledged: Bool) {
        var (health, limits, first) = beating(every: 1_000, maxMissed: 2)
        var sent: UInt64 = 0
        let failed = failure(
            of: &health,
            limits,
            from: first,
            until: 60_000,
            onHeartbeat: { health, _ in
                sent += 9
                health.heartbeatSent(endingAt: sent)
            },
            { now in
                Snapshot(
                    now: now,
                    isReading: false,
                    handedBytes: sent,
                    link: .init(unacknowledgedBytes: isAcknowledged ? 0 : Int(sent), socketUnreadBytes: 10)
                )
            }
        )
        // At 1,000 the unread bytes are news; so the first heartbeat that counts as missed is looked at
        // later.
        #expect(failed?.0 == (isAcknowledged ? nil : .heartbeat))
        if !isAcknowledged { #expect(failed?.at == 3_000) }
    }

    @Test func `of a peer that is not read more unread bytes are a sign of life`() {
        var (health, limits, first) = beating(every: 1_000, maxMissed: 2)
        let failed = failure(
            of: &health,
            limits,
            from: first,
            until: 60_000,
            onHeartbeat: { health, _ in health.heartbeatSent(endingAt: 9) },
            { now in
                // They grow until 20,000.
                let link = Health.LinkStatus(unacknowledgedBytes: 9, socketUnreadBytes: Int(min(now, 20_000)))
                return Snapshot(now: now, isReading: false, handedBytes: 9, link: link)
            }
        )
        #expect(failed?.0 == .heartbeat && failed?.at == 22_000)
    }

    // MARK: Write stalls

    private func watched(_ stall: UInt64, at now: UInt64) -> (Health, Health.TimeLimits, first: UInt64) {
        var limits = TimeLimits()
        limits.writeStall = stall
        var health = Health()
        let first = health.watchBegins(at: now, acknowledgedBytes: 0, limits)
        return (health, limits, first)
    }

    /// What is acknowledged of a great deal, at so many bytes a second from 5,000 on; the looks go on till
    /// 60,000.
    @Test(arguments: [
        (bytesPerSecond: UInt64(20_000), isStalled: false),
        (bytesPerSecond: 128, isStalled: false),
        (bytesPerSecond: 127, isStalled: true),
        (bytesPerSecond: 2, isStalled: true),
        (bytesPerSecond: 0, isStalled: true),
    ]) func `a reader is stalled when it takes less than the least rate`(
        bytesPerSecond: UInt64,
        isStalled: Bool
    ) {
        var (health, limits, first) = watched(2_000, at: 5_000)
        #expect(first == 5_500)
        let failed = failure(of: &health, limits, from: first, until: 60_000) { now in
            let acknowledged = (now - 5_000) * bytesPerSecond / 1_000
            return Snapshot(
                now: now,
                handedBytes: 10 << 20,
                isWatched: true,
                link: .init(unacknowledgedBytes: 10 << 20 - Int(acknowledged))
            )
        }
        guard isStalled else { return #expect(failed == nil) }
        let time = failed?.at ?? 0
        #expect(time >= 7_000 && time <= 7_500, "within the time-out and a quarter: \(time)")
        guard case .writeStall(let bytes)? = failed?.0 else { return #expect(Bool(false)) }
        #expect(bytes == 10 << 20 - Int((time - 5_000) * bytesPerSecond / 1_000))
    }

    @Test(arguments: [(bytesPerSecond: UInt64(128), isStalled: false), (127, true)])
    func `the least rate is that of the time between two looks, however long`(
        bytesPerSecond: UInt64,
        isStalled: Bool
    ) {
        var (health, limits, first) = watched(20_000, at: 0)
        #expect(first == 5_000)
        let failed = failure(of: &health, limits, from: first, until: 60_000) { now in
            let left = 10 << 20 - Int(now * bytesPerSecond / 1_000)
            return Snapshot(
                now: now,
                handedBytes: 10 << 20,
                isWatched: true,
                link: .init(unacknowledgedBytes: left)
            )
        }
        #expect((failed != nil) == isStalled)
    }

    @Test func `answers that nobody reads are noticed as stalled, though they were written directly`() throws
    {
        var queue = SendQueue()
        var (health, limits, _) = watched(2_000, at: 0)
        var stalledAt: UInt64?
        for now in stride(from: UInt64(0), to: 20_000, by: 250) {
            try queue.append { (buffer) throws(ParleyError) in
                buffer.append([UInt8](repeating: 0, count: 100))
            }
            queue.writeDirectly(at: now) { buffer in
                buffer.removeFirst(100)
                return .written(100)
            }
            if queue.beginWatch() { _ = health.watchBegins(at: now, acknowledgedBytes: 0, limits) }
            let snapshot = Snapshot(
                now: now,
                lastHanded: queue.lastHanded,
                handedBytes: queue.handedBytes,
                isWatched: queue.isWatched,
                link: .init(unacknowledgedBytes: Int(queue.handedBytes))
            )
            if health.check(snapshot, limits).failure != nil {
                stalledAt = now
                break
            }
        }
        #expect(stalledAt == 2_000)
    }

    @Test func `progress has to come again and again`() {
        var (health, limits, _) = watched(2_000, at: 0)
        func snapshot(_ now: UInt64, acknowledged: Int) -> Snapshot {
            let link = Health.LinkStatus(unacknowledgedBytes: 90_000 - acknowledged)
            return Snapshot(now: now, handedBytes: 90_000, isWatched: true, link: link)
        }
        #expect(health.check(snapshot(1_900, acknowledged: 10_000), limits) == Verdict(next: 2_400))
        #expect(health.check(snapshot(3_899, acknowledged: 10_001), limits).failure == nil)
        #expect(
            health.check(snapshot(3_900, acknowledged: 10_001), limits).failure != nil,
            "2 s after the last"
        )
    }

    @Test func `what a secured link adds to the bytes under way does not hide their progress`() {
        var limits = TimeLimits()
        limits.writeStall = 2_000
        var health = Health()
        _ = health.watchBegins(at: 0, acknowledgedBytes: 1_000, limits)
        // 100 bytes are handed over after 1,000 that arrived. Sealed one by one they are 900.
        func snapshot(_ now: UInt64, underway: Int) -> Snapshot {
            let link = Health.LinkStatus(unacknowledgedBytes: underway)
            return Snapshot(now: now, handedBytes: 1_100, isWatched: true, link: link)
        }
        #expect(health.check(snapshot(500, underway: 900), limits) == Verdict(next: 1_000))
        #expect(health.check(snapshot(1_900, underway: 600), limits) == Verdict(next: 2_400))
        #expect(health.check(snapshot(3_800, underway: 600), limits).failure == nil)
        let end = health.check(snapshot(3_900, underway: 600), limits)
        #expect(end.failure == .writeStall(unacknowledgedBytes: 600), "2 s after the last progress")
    }

    @Test func `a watch ends when everything is acknowledged, and the next one begins anew`() {
        var (health, limits, _) = watched(2_000, at: 0)
        let whole = Snapshot(now: 500, handedBytes: 100, isWatched: true)
        #expect(health.check(whole, limits) == Verdict(endsWatch: true))
        #expect(health.check(Snapshot(now: 600, handedBytes: 100), limits) == Verdict(), "nobody looks")
        // A sender's thread writes a minute later, and a check comes in front of the loop's hearing of it.
        let snapshot = Snapshot(
            now: 60_000,
            handedBytes: 200,
            isWatched: true,
            link: .init(unacknowledgedBytes: 100)
        )
        #expect(health.check(snapshot, limits) == Verdict())
        #expect(health.watchBegins(at: 60_000, acknowledgedBytes: 100, limits) == 60_500)
        #expect(health.check(snapshot, limits) == Verdict(next: 60_500))
        var later = snapshot
        later.now = 61_999
        #expect(health.check(later, limits).failure == nil)
        later.now = 62_000
        #expect(health.check(later, limits) == Verdict(failure: .writeStall(unacknowledgedBytes: 100)))
    }

    @Test func `the first bytes of a connection are not judged before their watch begins`() {
        var limits = TimeLimits()
        limits.writeStall = 2_000
        var health = Health()
        let snapshot = Snapshot(
            now: 60_000,
            handedBytes: 1,
            isWatched: true,
            link: .init(unacknowledgedBytes: 1)
        )
        #expect(health.check(snapshot, limits) == Verdict())
    }

    @Test func `a watch that begins behind its end says nothing of the next one`() {
        var (health, limits, _) = watched(2_000, at: 0)
        // All was acknowledged and nobody watches when the loop hears of it.
        #expect(health.check(Snapshot(now: 500, handedBytes: 10), limits) == Verdict())
        let snapshot = Snapshot(
            now: 60_000,
            handedBytes: 20,
            isWatched: true,
            link: .init(unacknowledgedBytes: 10)
        )
        #expect(health.check(snapshot, limits) == Verdict())
    }

    @Test func `without a time-out nothing is stalled, and looks are 10 ms apart at least`() {
        var (health, limits, first) = watched(20, at: 100)
        #expect(first == 110)
        let snapshot = Snapshot(
            now: 110,
            handedBytes: 10,
            isWatched: true,
            link: .init(unacknowledgedBytes: 10)
        )
        #expect(health.check(snapshot, limits).next == 120)
        #expect(health.check(snapshot, TimeLimits()) == Verdict())
        #expect(health.watchBegins(at: 5, acknowledgedBytes: 0, TimeLimits()) == .max)
    }

    @Test(arguments: [UInt64(0), 1 << 63]) func `any rate can be asked for`(rate: UInt64) {
        var (health, limits, _) = watched(2_000, at: 0)
        limits.leastBytesPerSecond = rate
        func snapshot(_ now: UInt64, acknowledged: Int) -> Snapshot {
            let link = Health.LinkStatus(unacknowledgedBytes: 1 << 40 - acknowledged)
            return Snapshot(now: now, handedBytes: 1 << 40, isWatched: true, link: link)
        }
        _ = health.check(snapshot(1_000, acknowledged: 1), limits)
        // With no rate a byte is enough; with the largest no number of bytes is.
        #expect((health.check(snapshot(2_000, acknowledged: 1), limits).failure == nil) == (rate == 0))
        #expect(health.check(snapshot(4_000, acknowledged: 1), limits).failure != nil)
    }

    // MARK: Frames

    private func framing(_ interval: UInt64) -> Health.TimeLimits {
        var limits = TimeLimits()
        limits.frame = interval
        return limits
    }

    /// A frame that begins at 5,000, looked at from 5,500 on: time-out 2,000.
    @Test(arguments: [
        (bytesPerSecond: 1, isDropped: true), (bytesPerSecond: 0, isDropped: true),
        (bytesPerSecond: 120, isDropped: true), (bytesPerSecond: 128, isDropped: false),
        (bytesPerSecond: 1_000_000, isDropped: false),
    ]) func `a frame that does not get on is dropped`(bytesPerSecond: Int, isDropped: Bool) {
        var health = Health()
        let failed = failure(of: &health, framing(2_000), from: 5_500, until: 60_000) { now in
            let received = 4 + Int(now - 5_000) * bytesPerSecond / 1_000
            return Snapshot(now: now, frame: .init(number: 1, receivedBytes: received))
        }
        guard isDropped else { return #expect(failed == nil) }
        let time = failed?.at ?? 0
        #expect(time >= 7_000 && time <= 7_500, "within the time-out and a quarter: \(time)")
        #expect(failed?.0 == .frame(receivedBytes: 4 + Int(time - 5_000) * bytesPerSecond / 1_000))
    }

    @Test func `time in which nothing is read does not count for a frame`() {
        var health = Health()
        let failed = failure(of: &health, framing(2_000), from: 500, until: 60_000) { now in
            Snapshot(now: now, isReading: now >= 20_000, frame: .init(number: 1, receivedBytes: 4))
        }
        let time = failed?.at ?? 0
        #expect(time >= 21_500 && time <= 22_500, "2 s from when it is read again: \(time)")
    }

    @Test func `a new frame starts anew, and so does one behind none`() {
        let limits = framing(2_000)
        var health = Health()
        func snapshot(_ now: UInt64, _ number: UInt64?) -> Snapshot {
            Snapshot(now: now, frame: number.map { .init(number: $0, receivedBytes: 4) })
        }
        #expect(health.check(snapshot(1_000, 1), limits) == Verdict(next: 1_500))
        #expect(health.check(snapshot(2_000, nil), limits) == Verdict())
        #expect(health.check(snapshot(2_100, 1), limits).failure == nil)
        #expect(health.check(snapshot(4_099, 1), limits).failure == nil, "it was whole meanwhile")
        health = Health()
        #expect(health.check(snapshot(1_000, 1), limits) == Verdict(next: 1_500))
        #expect(health.check(snapshot(2_900, 1), limits).failure == nil)
        #expect(health.check(snapshot(2_999, 2), limits).failure == nil)
        #expect(health.check(snapshot(4_998, 2), limits).failure == nil)
        var same = health
        #expect(same.check(snapshot(4_999, 2), limits) == Verdict(failure: .frame(receivedBytes: 4)))
        #expect(health.check(snapshot(4_999, nil), limits) == Verdict())
        #expect(health.check(snapshot(5_500, 2), limits).failure == nil, "it was whole meanwhile")
        #expect(health.check(snapshot(7_500, 2), limits).failure != nil)
        #expect(health.check(snapshot(9_500, 2), TimeLimits()).failure == nil, "no time-out")
    }

    // MARK: Streams, death and room

    @Test func `a stream ends when its reader takes nothing`() {
        var limits = TimeLimits()
        limits.streamIdle = 1_000
        var health = Health()
        #expect(health.check(Snapshot(now: 5_999, streamReadAt: 5_000), limits) == Verdict(next: 6_000))
        #expect(health.check(Snapshot(now: 6_000, streamReadAt: 5_000), limits) == Verdict(failure: .stream))
        #expect(health.check(Snapshot(now: 6_000, streamReadAt: 5_001), limits) == Verdict(next: 6_001))
        #expect(health.check(Snapshot(now: 6_000), limits) == Verdict(), "no stream is open")
        #expect(health.check(Snapshot(now: 6_000, streamReadAt: 5_000), TimeLimits()) == Verdict())
    }

    @Test func `a side that does not read says each second that it lives`() {
        var health = Health()
        func isDue(_ now: UInt64, _ change: (inout Snapshot) -> Void = { _ in }) -> Bool {
            var snapshot = Snapshot(now: now, isReading: false)
            snapshot.link.socketUnreadBytes = 13
            change(&snapshot)
            return health.check(snapshot, TimeLimits()).isSignOfLifeDue
        }
        #expect(!isDue(5_000) { $0.isReading = true }, "it answers pings")
        #expect(!isDue(5_000) { $0.link.isReadAlways = true }, "so does its link")
        #expect(!isDue(5_000) { $0.isStarting = true } && !isDue(5_000) { $0.link.isDead = true })
        #expect(!isDue(5_000) { $0.link.unacknowledgedBytes = 1 }, "one is on its way")
        #expect(!isDue(5_000) { $0.link.socketUnreadBytes = 0 }, "nobody has asked")
        #expect(!isDue(5_000) { $0.lastArrival = 4_001 }, "it has read just now")
        #expect(isDue(5_000))
        #expect(!isDue(5_999) { $0.link.socketUnreadBytes = 26 }, "other checks come in between")
        #expect(isDue(6_000) { $0.link.socketUnreadBytes = 26 })
        #expect(!isDue(9_000) { $0.link.socketUnreadBytes = 26 }, "nothing has come since")
        #expect(isDue(9_000) { $0.link.isFull = true }, "no ping gets through")
        #expect(!isDue(9_500) { $0.isReading = true })
        #expect(isDue(10_000), "all was read meanwhile, and a ping has come since")
    }

    @Test func `a link that is not read is looked at each second, and its death is told`() {
        var health = Health()
        let dead = Health.LinkStatus(isDead: true)
        let verdict = health.check(Snapshot(now: 5_000, isReading: false), TimeLimits())
        #expect(!verdict.hasLinkDied && verdict.next == 6_000 && verdict.failure == nil)
        let unread = Snapshot(now: 5_000, isReading: false, link: dead)
        #expect(health.check(unread, TimeLimits()) == Verdict(hasLinkDied: true))
        #expect(
            health.check(Snapshot(now: 5_000, link: dead), TimeLimits()) == Verdict(),
            "a link that is read tells it"
        )
        #expect(health.check(Snapshot(now: 5_000), TimeLimits()) == Verdict())
    }

    @Test(arguments: [
        (timeout: UInt64(1_000), now: UInt64(5_999), wakes: false, next: UInt64(6_000)),
        (timeout: 1_000, now: 6_000, wakes: true, next: 6_250),
        (timeout: 1_000, now: 6_250, wakes: true, next: 6_500),
        (timeout: 20, now: 5_020, wakes: true, next: 5_030),
    ]) func `senders without room are woken when their time is up`(
        timeout: UInt64,
        now: UInt64,
        wakes: Bool,
        next: UInt64
    ) {
        var limits = TimeLimits()
        limits.write = timeout
        var health = Health()
        let verdict = health.check(Snapshot(now: now, blockedSince: 5_000), limits)
        #expect(verdict == Verdict(wakesSenders: wakes, next: next))
        #expect(health.check(Snapshot(now: now), limits) == Verdict(), "there is room")
        #expect(health.check(Snapshot(now: now, blockedSince: 5_000), TimeLimits()) == Verdict())
    }

    // MARK: All together

    @Test func `nothing is asked of a connection that is well`() {
        var health = Health()
        let verdict = health.check(Snapshot(now: 1_000), TimeLimits())
        #expect(verdict.failure == nil && verdict.next == .max)
        #expect(!verdict.wakesSenders && !verdict.isHeartbeatDue)
        #expect(!verdict.hasLinkDied && !verdict.endsWatch)
    }

    @Test func `the first failure is the reason, and nothing is looked at again`() {
        var limits = TimeLimits()
        limits.idle = 1_000
        limits.streamIdle = 1_000
        limits.writeStall = 1_000
        limits.heartbeat = 100
        var health = Health()
        _ = health.opened(at: 0, limits)
        _ = health.watchBegins(at: 0, acknowledgedBytes: 0, limits)
        let snapshot = Snapshot(
            now: 1_000,
            handedBytes: 5,
            isWatched: true,
            streamReadAt: 0,
            link: .init(unacknowledgedBytes: 5)
        )
        #expect(health.check(snapshot, limits).failure == .writeStall(unacknowledgedBytes: 5))
        #expect(health.check(snapshot, limits).next == .max)
        limits.writeStall = nil
        #expect(health.check(snapshot, limits).failure == .stream)
        limits.streamIdle = nil
        #expect(health.check(snapshot, limits).failure == .idle)
    }

    @Test func `a connection that is read and has no unfinished frame needs no more state`() {
        var limits = framing(2_000)
        limits.idle = 1_000
        limits.write = 1_000
        limits.writeStall = 1_000
        limits.streamIdle = 1_000
        var health = Health()
        _ = health.opened(at: 0, limits)
        for now in stride(from: UInt64(100), to: 900, by: 100) {
            #expect(health.check(Snapshot(now: now), limits).failure == nil)
            health.heartbeatAnswered()
            #expect(!health.keepsRareState && health.missedHeartbeats == 0)
        }
        _ = health.check(Snapshot(now: 900, frame: .init(number: 1, receivedBytes: 4)), limits)
        #expect(health.keepsRareState)
    }

    @Test func `the next look is the earliest of all that may be due`() {
        var limits = TimeLimits()
        limits.idle = 1_000
        limits.heartbeat = 700
        limits.streamIdle = 600
        var health = Health()
        #expect(health.opened(at: 0, limits) == 700)
        #expect(health.check(Snapshot(now: 10, streamReadAt: 0), limits).next == 600)
        #expect(health.check(Snapshot(now: 10), limits).next == 700)
        limits.heartbeat = nil
        #expect(health.check(Snapshot(now: 10), limits).next == 1_000)
        limits.heartbeat = 2_000
        var other = Health()
        #expect(other.opened(at: 0, limits) == 1_000)
    }

    @Test(arguments: [
        (handed: UInt64(100), unacknowledged: 40, acknowledged: UInt64(60)), (100, 100, 0), (100, 101, 0),
        (100, -5, 100), (0, 7, 0), (.max, 1, .max - 1),
    ]) func `what is acknowledged is what was handed over and is not under way`(
        handed: UInt64,
        unacknowledged: Int,
        acknowledged: UInt64
    ) {
        let snapshot = Snapshot(now: 0, handedBytes: handed, link: .init(unacknowledgedBytes: unacknowledged))
        #expect(snapshot.acknowledgedBytes == acknowledged)
    }

    @Test func `time-outs become limits in milliseconds, and heartbeats no shorter than 10 ms`() {
        var timeouts = Timeouts()
        timeouts.idle = .seconds(3)
        timeouts.writeStall = .milliseconds(1_500)
        timeouts.leastBytesPerSecond = -1
        timeouts.heartbeat = Heartbeat(interval: .milliseconds(1), maxMissed: 0)
        let limits = TimeLimits(timeouts)
        #expect(limits.idle == 3_000 && limits.writeStall == 1_500)
        #expect(limits.heartbeat == 10 && limits.maxMissedHeartbeats == 1 && limits.leastBytesPerSecond == 0)
    }
}
