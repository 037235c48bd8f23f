import FaultProxy
import Testing

@testable import Parley

/// Every state, every event, and the ways from the first to the last.
@Suite struct LifecycleTests {
    // MARK: The table

    /// The pairs from which something follows, by hand: `state | event | next state | actions`. Every other
    /// pair leaves the state as it is and asks for nothing.
    private static let table = """
        handshake | announce | announcing |
        handshake | open | open | wakeWaiters
        handshake | close | closeRequested | wakeWaiters stopDelivering beginClosing
        handshake | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        handshake | fail | failed | wakeWaiters endInput closeLink
        handshake | write failed, may deliver | draining | wakeWaiters dropUnsent startCloseTimer
        handshake | write failed | failed | wakeWaiters endInput closeLink dropUnsent
        handshake | input failed | failed | wakeWaiters endInput closeLink
        handshake | link closed | ended | wakeWaiters endInput tellNode
        announcing | announced | announced |
        announcing | open | open | wakeWaiters
        announcing | close | closeRequested | wakeWaiters stopDelivering beginClosing
        announcing | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        announcing | fail | failed | wakeWaiters endInput closeLink
        announcing | write failed, may deliver | draining | wakeWaiters dropUnsent startCloseTimer
        announcing | write failed | failed | wakeWaiters endInput closeLink dropUnsent
        announcing | input failed | failed | wakeWaiters endInput closeLink
        announcing | link closed | ended | wakeWaiters endInput tellNode
        announced | open | open | wakeWaiters
        announced | close | closeRequested | wakeWaiters stopDelivering beginClosing
        announced | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        announced | fail | failed | wakeWaiters endInput closeLink
        announced | write failed, may deliver | draining | wakeWaiters dropUnsent startCloseTimer
        announced | write failed | failed | wakeWaiters endInput closeLink dropUnsent
        announced | input failed | failed | wakeWaiters endInput closeLink
        announced | link closed | ended | wakeWaiters endInput tellNode
        open | close | closeRequested | wakeWaiters stopDelivering beginClosing
        open | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        open | fail | failed | wakeWaiters endInput closeLink
        open | write failed, may deliver | draining | wakeWaiters dropUnsent startCloseTimer
        open | write failed | failed | wakeWaiters endInput closeLink dropUnsent
        open | input failed | failed | wakeWaiters endInput closeLink
        open | link closed | ended | wakeWaiters endInput tellNode
        draining | close | closeRequested | wakeWaiters stopDelivering beginClosing
        draining | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        draining | fail | failed | wakeWaiters endInput closeLink
        draining | write failed, may deliver | failed | wakeWaiters endInput closeLink dropUnsent
        draining | write failed | failed | wakeWaiters endInput closeLink dropUnsent
        draining | input failed | failed | wakeWaiters endInput closeLink
        draining | time is up | closingLink | endInput closeLinkNow resetIfCutOff
        draining | link closed | ended | wakeWaiters endInput tellNode
        closeRequested | fail | failed | wakeWaiters endInput closeLink
        closeRequested | write failed, may deliver | failed | wakeWaiters endInput closeLink dropUnsent
        closeRequested | write failed | failed | wakeWaiters endInput closeLink dropUnsent
        closeRequested | input failed | failed | wakeWaiters endInput closeLink
        closeRequested | begin closing | flushing | discardInput startCloseTimer flush
        closeRequested | begin closing, all has arrived | closingLink | closeLinkNow
        closeRequested | link closed | ended | wakeWaiters endInput tellNode
        flushing | fail | failed | wakeWaiters endInput closeLink
        flushing | write failed, may deliver | failed | wakeWaiters endInput closeLink dropUnsent
        flushing | write failed | failed | wakeWaiters endInput closeLink dropUnsent
        flushing | input failed | failed | wakeWaiters endInput closeLink
        flushing | all written | lingering | shutDown
        flushing | time is up | closingLink | endInput closeLinkNow resetIfCutOff
        flushing | link closed | ended | wakeWaiters endInput tellNode
        lingering | fail | failed | wakeWaiters endInput closeLink
        lingering | write failed, may deliver | failed | wakeWaiters endInput closeLink dropUnsent
        lingering | write failed | failed | wakeWaiters endInput closeLink dropUnsent
        lingering | input failed | failed | wakeWaiters endInput closeLink
        lingering | all arrived | closingLink | closeLinkNow
        lingering | time is up | closingLink | endInput closeLinkNow resetIfCutOff
        lingering | link closed | ended | wakeWaiters endInput tellNode
        failed | link closing | closingLink | closeLinkNow resetIfCutOff
        failed | link closed | ended | wakeWaiters endInput tellNode
        closingLink | link closed | ended | wakeWaiters endInput tellNode
        ended, onPeer runs | announced | ended | tellDisconnect
        """

    private static let actionNames: [Substring: Lifecycle.Actions] = [
        "wakeWaiters": .wakeWaiters, "stopDelivering": .stopDelivering, "endInput": .endInput,
        "dropUnsent": .dropUnsent, "beginClosing": .beginClosing, "discardInput": .discardInput,
        "startCloseTimer": .startCloseTimer, "flush": .flush, "shutDown": .shutDown, "closeLink": .closeLink,
        "closeLinkNow": .closeLinkNow, "resetIfCutOff": .resetIfCutOff, "tellNode": .tellNode,
        "tellDisconnect": .tellDisconnect,
    ]

    private struct Outcome: Equatable {
        var next: String
        var actions: Lifecycle.Actions

        static func == (one: Outcome, other: Outcome) -> Bool {
            one.next == other.next && one.actions.rawValue == other.actions.rawValue
        }
    }

    private func expected() throws -> [String: Outcome] {
        var outcomes: [String: Outcome] = [:]
        for line in Self.table.split(separator: "\n") {
            let fields = line.split(separator: "|", omittingEmptySubsequences: false)
                .map { $0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed() }.map { String($0) }
            var actions = Lifecycle.Actions()
            for name in fields[3].split(separator: " ") {
                actions.formUnion(try #require(Self.actionNames[name]))
            }
            outcomes["\(fields[0]) | \(fields[1])"] = Outcome(next: fields[2], actions: actions)
        }
        return outcomes
    }

    @Test func `every action has a bit of its own`() {
        #expect(Set(Self.actionNames.values.map(\.rawValue)).count == 14)
        #expect(Self.actionNames.values.allSatisfy { $0.rawValue.nonzeroBitCount == 1 })
    }

    @Test func `every state answers every event as the table says, and keeps what is known of its end`()
        throws
    {
        let expected = try expected()
        #expect(expected.count == 66, "a row is there twice, or is missing")
        var met: Set<String> = []
        for (start, path) in Start.all {
            for (event, name) in Event.all {
                let before = lifecycle(after: path)
                var after = before
                let actions = after.apply(event)
                let isWaiting = before.state.name == "ended" && before.end?.isAnnouncing == true
                let pair = "\(isWaiting ? "ended, onPeer runs" : before.state.name) | \(name)"
                let outcome = expected[pair] ?? Outcome(next: before.state.name, actions: [])
                #expect(
                    Outcome(next: after.state.name, actions: actions) == outcome,
                    "\(start) | \(name): \(after.state.name) \(actions.rawValue)"
                )
                if expected[pair] != nil { met.insert(pair) }
                checkEnd(before, event, after, "\(start) | \(name)")
            }
        }
        #expect(met == Set(expected.keys), "every row was walked")
    }

    /// What is known of an end stays; `announced` alone changes it.
    private func checkEnd(_ before: Lifecycle, _ event: Lifecycle.Event, _ after: Lifecycle, _ what: String) {
        guard let end = after.end else { return #expect(before.end == nil, "\(what)") }
        guard let first = before.end else {
            #expect(end.reason == event.reason, "\(what)")
            #expect(end.wasOpen == (before.state.name == "open"), "\(what)")
            #expect(end.isAnnouncing == (before.state.name == "announcing"), "\(what)")
            let failure = end.handshakeFailure as? Failure
            #expect(failure == (before.isStarting ? event.handshakeFailure : nil), "\(what)")
            return
        }
        #expect(end.reason == first.reason, "\(what)")
        #expect(end.wasOpen == first.wasOpen, "\(what)")
        #expect((end.handshakeFailure as? Failure) == (first.handshakeFailure as? Failure), "\(what)")
        let isAnnounced = if case .announced = event { true } else { false }
        #expect(end.isAnnouncing == (first.isAnnouncing && !isAnnounced), "\(what)")
    }

    @Test(arguments: Start.all.map(\.name)) func `what follows from a state`(start: String) throws {
        let lifecycle = lifecycle(after: try #require(Start.all.first { $0.name == start }).path)
        let name = lifecycle.state.name
        let isStarting = ["handshake", "announcing", "announced"].contains(name)
        #expect(lifecycle.isStarting == isStarting)
        #expect((lifecycle.end == nil) == (isStarting || name == "open"))
        #expect(lifecycle.hasEnded == (name == "ended"))
        #expect(lifecycle.isFlushing == (name == "flushing"))
        let wasOpen = name == "open" || start.hasSuffix("after open")
        #expect(lifecycle.wasOpen == wasOpen)
        #expect(lifecycle.isPeer == (wasOpen && name != "ended"))
    }

    // MARK: Ways to the end

    /// Ways from an open connection to its end; each begins with the event that is the reason.
    private static let ways: [[Lifecycle.Event]] = [
        [.fail(.first), .linkClosing, .linkClosed],
        [.inputFailed(.first), .linkClosing, .linkClosed],
        [.writeFailed(.first, mayDeliver: false), .linkClosing, .linkClosed],
        [.writeFailed(.first, mayDeliver: true), .timeIsUp, .linkClosed],
        [.writeFailed(.first, mayDeliver: true), .inputFailed(.second), .linkClosing, .linkClosed],
        [
            .writeFailed(.first, mayDeliver: true), .close(.second, handshakeFailure: nil),
            .beginClosing(hasAllArrived: true), .linkClosed,
        ],
        [.close(.first, handshakeFailure: nil), .beginClosing(hasAllArrived: true), .linkClosed],
        [
            .close(.first, handshakeFailure: nil), .beginClosing(hasAllArrived: false), .allWritten,
            .allArrived,
            .linkClosed,
        ],
        [
            .close(.first, handshakeFailure: nil), .beginClosing(hasAllArrived: false), .allWritten,
            .timeIsUp,
            .linkClosed,
        ],
        [.close(.first, handshakeFailure: nil), .beginClosing(hasAllArrived: false), .timeIsUp, .linkClosed],
    ]

    private static let reasons: [Lifecycle.Event] = [
        .close(.second, handshakeFailure: Failure(number: 2)), .fail(.second), .inputFailed(.second),
        .writeFailed(.second, mayDeliver: true), .writeFailed(.second, mayDeliver: false),
    ]

    @Test(arguments: ways.indices) func `the first reason stays, whatever comes after it`(way: Int) {
        for later in Self.reasons {
            for place in 1...Self.ways[way].count {
                var lifecycle = Lifecycle()
                _ = lifecycle.apply(.open)
                var events = Self.ways[way]
                events.insert(later, at: place)
                for event in events + [.linkClosing, .linkClosed] { _ = lifecycle.apply(event) }
                #expect(lifecycle.hasEnded, "\(later) at \(place)")
                #expect(lifecycle.end?.reason == .first, "\(later) at \(place)")
                #expect(lifecycle.end?.wasOpen == true)
                #expect(lifecycle.end?.handshakeFailure == nil)
            }
        }
    }

    @Test(arguments: [[], [.announce], [.announce, .announced]] as [[Lifecycle.Event]])
    func `a dial rethrows what the handshake threw, and the reason when something else came first`(
        start: [Lifecycle.Event]
    ) {
        var refused = lifecycle(after: start)
        _ = refused.apply(.close(.first, handshakeFailure: Failure(number: 1)))
        for event in Self.reasons + [.linkClosing, .open, .linkClosed] { _ = refused.apply(event) }
        #expect(refused.end?.handshakeFailure as? Failure == Failure(number: 1))
        #expect(refused.end?.wasOpen == false && refused.hasEnded)

        var broken = lifecycle(after: start)
        _ = broken.apply(.fail(.first))
        _ = broken.apply(.close(.second, handshakeFailure: Failure(number: 2)))
        #expect(broken.end?.handshakeFailure == nil && broken.end?.reason == .first)
    }

    /// Whoever is told of the end is told once: by the node when `onPeer` has returned, otherwise by
    /// `tellDisconnect`.
    @Test(arguments: ways.indices) func `onDisconnect is asked for once, wherever onPeer returns`(way: Int) {
        let events = [.announce] + Self.ways[way]
        for opens in [false, true] {
            for place in 1...events.count {
                var events = events
                // onPeer returns, once or (the node's own time-out) twice; the connection opens in front of
                // it or not.
                events.insert(contentsOf: opens ? [.open, .announced] : [.announced], at: place)
                var lifecycle = Lifecycle()
                var told = 0
                for event in events + [.announced] {
                    let actions = lifecycle.apply(event)
                    if actions.contains(.tellNode), lifecycle.end?.isAnnouncing == false { told += 1 }
                    if actions.contains(.tellDisconnect) { told += 1 }
                }
                #expect(lifecycle.hasEnded && told == 1, "onPeer returns at \(place), opens: \(opens)")
            }
        }
    }

    @Test func `an end behind onPeer's return waits for it no more, though the connection is not open`() {
        var lifecycle = lifecycle(after: [.announce, .announced, .fail(.first), .linkClosing])
        #expect(lifecycle.apply(.linkClosed).contains(.tellNode))
        #expect(lifecycle.end?.isAnnouncing == false)
    }

    @Test(arguments: 0..<UInt64(100)) func `every path ends with its link, and tells the node once`(
        seed: UInt64
    ) {
        var numbers = SeededGenerator(seed: seed)
        for (start, path) in Start.all where !start.hasPrefix("ended") {
            var lifecycle = lifecycle(after: path)
            var (told, closes, disconnects) = (0, 0, 0)
            let isAhead = lifecycle.state.name != "closingLink"
            func walk(_ event: Lifecycle.Event) {
                let before = lifecycle
                let actions = lifecycle.apply(event)
                if actions.contains(.tellNode) { told += 1 }
                if actions.contains(.closeLinkNow) { closes += 1 }
                if actions.contains(.tellDisconnect) { disconnects += 1 }
                #expect(lifecycle.state.rank >= before.state.rank, "no way leads back")
                #expect(actions.isEmpty || lifecycle.end != nil || lifecycle.state.name == "open")
            }
            for _ in 0..<Int.random(in: 0...30, using: &numbers) {
                let event = Event.all[Int.random(in: 0..<Event.all.count, using: &numbers)].event
                if case .linkClosed = event { continue }
                walk(event)
            }
            // What the connection does by itself in the end.
            for event: Lifecycle.Event in [.fail(.second), .timeIsUp, .linkClosing] { walk(event) }
            #expect(lifecycle.state.name == "closingLink")
            #expect(closes == (isAhead ? 1 : 0), "the link is closed once")
            #expect(told == 0)
            walk(.linkClosed)
            #expect(lifecycle.hasEnded && told == 1, "\(start)")
            for (event, _) in Event.all { walk(event) }
            #expect(lifecycle.hasEnded && told == 1 && disconnects <= 1, "\(start)")
        }
    }

    private func lifecycle(after path: [Lifecycle.Event]) -> Lifecycle {
        var lifecycle = Lifecycle()
        for event in path { _ = lifecycle.apply(event) }
        return lifecycle
    }
}

// MARK: - States and events

private struct Failure: Error, Equatable { let number: Int }

extension ParleyError {
    fileprivate static let first = ParleyError(.idle, "the first reason")
    fileprivate static let second = ParleyError(.connectionReset, "the second reason")
}

/// How each state is reached: from the open connection, and while `onPeer` runs.
private enum Start {
    static let all: [(name: String, path: [Lifecycle.Event])] =
        [
            ("handshake", []), ("announcing", [.announce]), ("announced", [.announce, .announced]),
            ("open", [.open]), ("open, onPeer runs", [.announce, .open]),
        ] + ends("after open", [.open]) + ends("onPeer runs", [.announce])

    private static func ends(
        _ name: String,
        _ path: [Lifecycle.Event]
    ) -> [(name: String, path: [Lifecycle.Event])] {
        let close: Lifecycle.Event = .close(.first, handshakeFailure: Failure(number: 1))
        let begin: Lifecycle.Event = .beginClosing(hasAllArrived: false)
        return [
            ("draining, \(name)", path + [.writeFailed(.first, mayDeliver: true)]),
            ("closeRequested, \(name)", path + [close]),
            ("flushing, \(name)", path + [close, begin]),
            ("lingering, \(name)", path + [close, begin, .allWritten]),
            ("failed, \(name)", path + [.fail(.first)]),
            ("closingLink, \(name)", path + [.fail(.first), .linkClosing]),
            ("ended, \(name)", path + [.fail(.first), .linkClosing, .linkClosed]),
        ]
    }
}

private enum Event {
    static let all: [(event: Lifecycle.Event, name: String)] = [
        (.announce, "announce"), (.announced, "announced"), (.open, "open"),
        (.close(.second, handshakeFailure: nil), "close"),
        (.close(.second, handshakeFailure: Failure(number: 2)), "close with failure"),
        (.fail(.second), "fail"),
        (.writeFailed(.second, mayDeliver: true), "write failed, may deliver"),
        (.writeFailed(.second, mayDeliver: false), "write failed"),
        (.inputFailed(.second), "input failed"),
        (.beginClosing(hasAllArrived: false), "begin closing"),
        (.beginClosing(hasAllArrived: true), "begin closing, all has arrived"),
        (.allWritten, "all written"), (.allArrived, "all arrived"), (.timeIsUp, "time is up"),
        (.linkClosing, "link closing"), (.linkClosed, "link closed"),
    ]
}

extension Lifecycle.State {
    fileprivate var name: String {
        switch self {
        case .handshake: "handshake"
        case .announcing: "announcing"
        case .announced: "announced"
        case .open: "open"
        case .draining: "draining"
        case .closeRequested: "closeRequested"
        case .flushing: "flushing"
        case .lingering: "lingering"
        case .failed: "failed"
        case .closingLink: "closingLink"
        case .ended: "ended"
        }
    }

    /// States are passed in this order.
    fileprivate var rank: Int {
        let order = [
            "handshake", "announcing", "announced", "open", "draining", "closeRequested", "flushing",
            "lingering", "failed", "closingLink", "ended",
        ]
        return order.firstIndex(of: name) ?? -1
    }
}

extension Lifecycle.Event {
    /// The reason that the event gives to an end.
    fileprivate var reason: ParleyError? {
        switch self {
        case .close(let reason, _), .fail(let reason), .writeFailed(let reason, _), .inputFailed(let reason):
            reason
        case .linkClosed: ParleyError(.closed, "the connection is closed")
        default: nil
        }
    }

    fileprivate var handshakeFailure: Failure? {
        if case .close(_, let failure) = self { failure as? Failure } else { nil }
    }
}
