/// The requests of one connection that this side has sent and that have no answer yet. A value without I/O,
/// guarded by the connection's sending lock.
///
/// | event | a request that waits | one that was given up |
/// |---|---|---|
/// | its answer arrives | its caller gets it | the answer is dropped and counted |
/// | its deadline passes, or its caller gives up | its caller is told; it is given up | |
/// | the connection ends | its caller is told | |
///
/// A request that was given up keeps its number and its place until its answer arrives: the other side counts
/// it as open too, and both sides have the same limit.
struct OpenRequests<Caller: Sendable>: Sendable {
    private enum Entry {
        case waiting(Caller, deadline: UInt64)
        case givenUp
    }

    private var entries: [UInt32: Entry] = [:]
    /// The number of the last request.
    var lastNumber: UInt32
    /// The next time at which ``expire(at:)`` has to be called, in milliseconds; `.max` when there is none.
    private(set) var nextCheck = UInt64.max
    /// The earliest deadline of the callers that have not sent their request, because there was no room.
    private var unsentDeadline = UInt64.max
    /// Answers to requests that were given up.
    private(set) var lateAnswers: UInt64 = 0
    /// How many requests were sent, in all.
    private(set) var sent: UInt64 = 0

    init(lastNumber: UInt32 = 0) { self.lastNumber = lastNumber }

    /// How many requests have no answer, including those that were given up.
    var count: Int { entries.count }

    /// The number of the next request: they count up, and skip those that are still in use.
    var nextNumber: UInt32 {
        var number = lastNumber &+ 1
        while entries[number] != nil { number &+= 1 }
        return number
    }

    /// Adds a request with the number ``nextNumber``. There must be fewer than 2^32.
    ///
    /// - Parameter deadline: in milliseconds; `.max` is none.
    /// - Returns: whether ``nextCheck`` is earlier now.
    mutating func add(_ caller: Caller, deadline: UInt64) -> Bool {
        lastNumber = nextNumber
        entries[lastNumber] = .waiting(caller, deadline: deadline)
        sent &+= 1
        return check(by: deadline)
    }

    /// Notes a caller that waits to send its request.
    ///
    /// - Returns: whether ``nextCheck`` is earlier now.
    mutating func noteUnsent(deadline: UInt64) -> Bool {
        unsentDeadline = min(unsentDeadline, deadline)
        return check(by: deadline)
    }

    private mutating func check(by deadline: UInt64) -> Bool {
        guard deadline < nextCheck else { return false }
        nextCheck = deadline
        return true
    }

    /// Removes a request whose answer has arrived.
    ///
    /// - Returns: the caller that gets the answer; nil for a late answer, and for one that nobody asked for.
    mutating func answered(_ number: UInt32) -> Caller? {
        switch entries.removeValue(forKey: number) {
        case .waiting(let caller, _): return caller
        case .givenUp, nil:
            lateAnswers &+= 1
            return nil
        }
    }

    /// Gives a request up. Returns its caller, if it still waited.
    mutating func giveUp(_ number: UInt32) -> Caller? {
        guard case .waiting(let caller, _) = entries[number] else { return nil }
        entries[number] = .givenUp
        return caller
    }

    /// Gives up the requests whose deadline has passed.
    ///
    /// - Returns: their callers, and whether a caller that waits to send has to look at the time.
    mutating func expire(at now: UInt64) -> (expired: [Caller], wakesUnsent: Bool) {
        guard nextCheck <= now else { return ([], false) }
        let wakesUnsent = unsentDeadline <= now
        if wakesUnsent { unsentDeadline = .max }
        nextCheck = unsentDeadline
        var expired: [Caller] = []
        for (number, entry) in entries {
            guard case .waiting(let caller, let deadline) = entry else { continue }
            if deadline <= now {
                expired.append(caller)
                entries[number] = .givenUp
            } else {
                nextCheck = min(nextCheck, deadline)
            }
        }
        return (expired, wakesUnsent)
    }

    /// Removes all requests: no answer can come any more. Returns the callers that still waited.
    mutating func removeAll() -> [Caller] {
        defer { entries = [:] }
        return entries.values.compactMap { if case .waiting(let caller, _) = $0 { caller } else { nil } }
    }
}
