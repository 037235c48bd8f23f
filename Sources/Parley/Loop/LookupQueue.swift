/// Which names are looked up now, which wait for a thread, and who waits for each. A pure value.
///
/// A name is looked up once for all who ask for it at the same time. At most `capacity` names are looked up
/// at once; the others wait. A name whose last look-up was slow, because no server answered, is suspect:
/// suspects use at most half of the places, and wait behind the names that are not.
struct LookupQueue<Name: Hashable, Waiter> {
    /// One caller that waits for a name.
    struct Ticket {
        fileprivate let name: Name
        fileprivate let number: UInt64
    }

    private struct Lookup {
        var waiters: [(number: UInt64, waiter: Waiter)]
        var isRunning = false
        /// Whether the name was suspect when the look-up began.
        var isSuspect = false
    }

    private let capacity: Int
    private var lookups: [Name: Lookup] = [:]
    /// The names that wait for a place, the oldest first.
    private var waiting: [Name] = []
    private var running = 0
    private var runningSuspects = 0
    private var suspects: Set<Name> = []
    private var nextNumber: UInt64 = 0

    /// How many suspect names are remembered.
    private static var maxSuspects: Int { 1_024 }

    init(capacity: Int) { self.capacity = capacity }

    /// The number of look-ups under way, for tests.
    var runningCount: Int { running }

    /// Adds a caller that waits for `name`. Start what ``begin()`` returns afterwards.
    mutating func add(_ waiter: Waiter, for name: Name) -> Ticket {
        nextNumber += 1
        let ticket = Ticket(name: name, number: nextNumber)
        if lookups[name] == nil {
            lookups[name] = Lookup(waiters: [])
            waiting.append(name)
        }
        lookups[name]?.waiters.append((ticket.number, waiter))
        return ticket
    }

    /// Removes a caller. A look-up that has begun runs on; one that nobody waits for does not begin.
    mutating func remove(_ ticket: Ticket) {
        guard var lookup = lookups[ticket.name] else { return }
        lookup.waiters.removeAll { $0.number == ticket.number }
        if lookup.waiters.isEmpty, !lookup.isRunning {
            lookups[ticket.name] = nil
            waiting.removeAll { $0 == ticket.name }
        } else {
            lookups[ticket.name] = lookup
        }
    }

    /// Begins the next look-up that has a place; nil when there is none. Call ``end(_:wasSlow:)`` after it.
    mutating func begin() -> Name? {
        guard running < capacity else { return nil }
        var next = waiting.firstIndex { !suspects.contains($0) }
        if next == nil, runningSuspects < max(1, capacity / 2) { next = waiting.indices.first }
        guard let next else { return nil }
        let name = waiting.remove(at: next)
        let isSuspect = suspects.contains(name)
        lookups[name]?.isRunning = true
        lookups[name]?.isSuspect = isSuspect
        running += 1
        if isSuspect { runningSuspects += 1 }
        return name
    }

    /// Ends a look-up. Returns who waits for it.
    ///
    /// - Parameter wasSlow: whether it took so long that servers seem not to answer.
    mutating func end(_ name: Name, wasSlow: Bool) -> [Waiter] {
        guard let lookup = lookups.removeValue(forKey: name) else { return [] }
        running -= 1
        if lookup.isSuspect { runningSuspects -= 1 }
        if wasSlow {
            if suspects.count >= Self.maxSuspects { suspects.removeFirst() }
            suspects.insert(name)
        } else {
            suspects.remove(name)
        }
        return lookup.waiters.map(\.waiter)
    }
}
