import FaultProxy
import Testing

@testable import Parley

/// Every state, every event, and the ways from the first to the last.
@Suite struct LifecycleTests {
    // MARK: The table

    /// The pairs from which something follows, by hand: `state | event | next state | actions`. Every other
    /// pair leaves the state as it is and asks for nothing.
    private static let table = """
        handshake | onPeer begins | inOnPeer |
        handshake | open | open | wakeWaiters
        handshake | close | closeRequested | wakeWaiters stopDelivering beginClosing
        handshake | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        handshake | fail | failed | wakeWaiters endInput beginAbort
        handshake | write failed, may deliver | readingRest | wakeWaiters dropUnhanded startCloseTimer
        handshake | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        handshake | link closed | ended | wakeWaiters endInput tellNode
        inOnPeer | onPeer returned | afterOnPeer |
        inOnPeer | open | open | wakeWaiters
        inOnPeer | close | closeRequested | wakeWaiters stopDelivering beginClosing
        inOnPeer | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        inOnPeer | fail | failed | wakeWaiters endInput beginAbort
        inOnPeer | write failed, may deliver | readingRest | wakeWaiters dropUnhanded startCloseTimer
        inOnPeer | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        inOnPeer | link closed | ended | wakeWaiters endInput tellNode
        afterOnPeer | open | open | wakeWaiters
        afterOnPeer | close | closeRequested | wakeWaiters stopDelivering beginClosing
        afterOnPeer | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        afterOnPeer | fail | failed | wakeWaiters endInput beginAbort
        afterOnPeer | write failed, may deliver | readingRest | wakeWaiters dropUnhanded startCloseTimer
        afterOnPeer | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        afterOnPeer | link closed | ended | wakeWaiters endInput tellNode
        open | close | closeRequested | wakeWaiters stopDelivering beginClosing
        open | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        open | fail | failed | wakeWaiters endInput beginAbort
        open | write failed, may deliver | readingRest | wakeWaiters dropUnhanded startCloseTimer
        open | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        open | link closed | ended | wakeWaiters endInput tellNode
        open | remote ended | halfClosed | startCloseTimer
        halfClosed | close | closeRequested | wakeWaiters stopDelivering beginClosing
        halfClosed | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        halfClosed | fail | failed | wakeWaiters endInput beginAbort
        halfClosed | write failed, may deliver | failed | wakeWaiters endInput beginAbort dropUnhanded
        halfClosed | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        halfClosed | time is up | closeRequested | wakeWaiters stopDelivering beginClosing
        halfClosed | link closed | ended | wakeWaiters endInput tellNode
        readingRest | close | closeRequested | wakeWaiters stopDelivering beginClosing
        readingRest | close with failure | closeRequested | wakeWaiters stopDelivering beginClosing
        readingRest | fail | failed | wakeWaiters endInput beginAbort
        readingRest | write failed, may deliver | failed | wakeWaiters endInput beginAbort dropUnhanded
        readingRest | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        readingRest | time is up | closingLink | endInput closeLink resetIfCutOff
        readingRest | link closed | ended | wakeWaiters endInput tellNode
        closeRequested | fail | failed | wakeWaiters endInput beginAbort
        closeRequested | write failed, may deliver | failed | wakeWaiters endInput beginAbort dropUnhanded
        closeRequested | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        closeRequested | begin closing | flushing | discardInput startCloseTimer flush
        closeRequested | begin closing, can close now | closingLink | closeLink
        closeRequested | link closed | ended | wakeWaiters endInput tellNode
        flushing | fail | failed | wakeWaiters endInput beginAbort
        flushing | write failed, may deliver | failed | wakeWaiters endInput beginAbort dropUnhanded
        flushing | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        flushing | all written | awaitingAck | shutDown checkAcknowledged
        flushing | all written, a stream is cut | awaitingAck, cut | checkAcknowledged
        flushing | time is up | closingLink | endInput closeLink resetIfCutOff
        flushing | link closed | ended | wakeWaiters endInput tellNode
        awaitingAck | fail | failed | wakeWaiters endInput beginAbort
        awaitingAck | write failed, may deliver | failed | wakeWaiters endInput beginAbort dropUnhanded
        awaitingAck | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        awaitingAck | all acknowledged | closingLink | closeLink
        awaitingAck | time is up | closingLink | endInput closeLink resetIfCutOff
        awaitingAck | link closed | ended | wakeWaiters endInput tellNode
        awaitingAck, cut | fail | failed | wakeWaiters endInput beginAbort
        awaitingAck, cut | write failed, may deliver | failed | wakeWaiters endInput beginAbort dropUnhanded
        awaitingAck, cut | write failed | failed | wakeWaiters endInput beginAbort dropUnhanded
        awaitingAck, cut | all acknowledged | closingLink | closeLink resetIfCutOff
        awaitingAck, cut | time is up | closingLink | endInput closeLink resetIfCutOff
        awaitingAck, cut | link closed | ended | wakeWaiters endInput tellNode
        failed | begin abort | closingLink | closeLink resetIfCutOff
        failed | link closed | ended | wakeWaiters endInput tellNode
        closingLink | link closed | ended | wakeWaiters endInput tellNode
        ended, onPeer runs | onPeer returned | ended | tellDisconnect
        """

    private static let actionNames: [Substring: Lifecycle.Actions] = [
        "wakeWaiters": .wakeWaiters, "stopDelivering": .stopDelivering, "endInput": .endInput,
        "dropUnhanded": .dropUnhanded, "beginClosing": .beginClosing, "discardInput": .discardInput,
        "startCloseTimer": .startCloseTimer, "flush": .flush, "shutDown": .shutDown,
        "beginAbort": .beginAbort,
        "closeLink": .closeLink, "resetIfCutOff": .resetIfCutOff, "tellNode": .tellNode,
        "tellDisconnect": .tellDisconnect, "checkAcknowledged": .checkAcknowledged,
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
        #expect(Set(Self.actionNames.values.map(\.rawValue)).count == 15)
        #expect(Self.actionNames.values.allSatisfy { $0.rawValue.nonzeroBitCount == 1 })
    }

    @Test func `every state answers every event as the table says, and keeps what is known of its end`()
        throws
    {
        let expected = try expected()
        #expect(expected.count == 73, "a row is there twice, or is missing")
        var met: Set<String> = []
        for (start, path) in Start.all {
            for (event, name) in Event.all {
                let before = lifecycle(after: path)
                var after = before
                let actions = after.apply(event)
                let isWaiting = before.state.name == "ended" && before.end?.isInOnPeer == true
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

    /// What is known of an end stays; `onPeerReturned` alone changes it.
    private func checkEnd(_ before: Lifecycle, _ event: Lifecycle.Event, _ after: Lifecycle, _ what: String) {
        guard let end = after.end else { return #expect(before.end == nil, "\(what)") }
        guard let first = before.end else {
            let isHalfClosed = before.state.name == "halfClosed"
            #expect(end.reason == (isHalfClosed ? .first : event.reason), "\(what)")
            #expect(end.wasOpen == (isHalfClosed || before.state.name == "open"), "\(what)")
            #expect(end.isInOnPeer == (before.state.name == "inOnPeer"), "\(what)")
            let failure = end.handshakeFailure as? Failure
            #expect(failure == (before.isStarting ? event.handshakeFailure : nil), "\(what)")
            return
        }
        #expect(end.reason == first.reason, "\(what)")
        #expect(end.wasOpen == first.wasOpen, "\(what)")
        #expect((end.handshakeFailure as? Failure) == (first.handshakeFailure as? Failure), "\(what)")
        let hasReturned = if case .onPeerReturned = event { true } else { false }
        #expect(end.isInOnPeer == (first.isInOnPeer && !hasReturned), "\(what)")
    }

    @Test(arguments: Start.all.map(\.name)) func `what follows from a state`(start: String) throws {
        let lifecycle = lifecycle(after: try #require(Start.all.first { $0.name == start }).path)
        let name = lifecycle.state.name
        let isStarting = ["handshake", "inOnPeer", "afterOnPeer"].contains(name)
        #expect(lifecycle.isStarting == isStarting)
        #expect((lifecycle.end == nil) == (isStarting || name == "open" || name == "halfClosed"))
        #expect(lifecycle.hasEnded == (name == "ended"))
        #expect(lifecycle.isFlushing == (name == "flushing"))
        let wasOpen = name == "open" || start.hasSuffix("after open")
        #expect(lifecycle.wasOpen == wasOpen)
        #expect(lifecycle.isPeer == (wasOpen && name != "ended"))
    }

    // MARK: Ways to the end

    /// Ways from an open connection to its end; each begins with the event that is the reason.
    private static let ways: [[Lifecycle.Event]] = [
        [.fail(.first), .beginAbort, .linkClosed],
        [.writeFailed(.first, mayDeliver: false), .beginAbort, .linkClosed],
        [.writeFailed(.first, mayDeliver: true), .timeIsUp, .linkClosed],
        [.writeFailed(.first, mayDeliver: true), .fail(.second), .beginAbort, .linkClosed],
        [
            .writeFailed(.first, mayDeliver: true), .close(.second, handshakeFailure: nil),
            .beginClosing(canCloseNow: true), .linkClosed,
        ],
        [.close(.first, handshakeFailure: nil), .beginClosing(canCloseNow: true), .linkClosed],
        [
            .close(.first, handshakeFailure: nil), .beginClosing(canCloseNow: false),
            .allWritten(cutsStream: false), .allAcknowledged,
            .linkClosed,
        ],
        [
            .close(.first, handshakeFailure: nil), .beginClosing(canCloseNow: false),
            .allWritten(cutsStream: false), .timeIsUp,
            .linkClosed,
        ],
        [
            .close(.first, handshakeFailure: nil), .beginClosing(canCloseNow: false),
            .allWritten(cutsStream: true), .allAcknowledged,
            .linkClosed,
        ],
        [
            .close(.first, handshakeFailure: nil), .beginClosing(canCloseNow: false),
            .allWritten(cutsStream: true), .timeIsUp,
            .linkClosed,
        ],
        [.close(.first, handshakeFailure: nil), .beginClosing(canCloseNow: false), .timeIsUp, .linkClosed],
        [
            .remoteEnded(.first), .close(.second, handshakeFailure: nil), .beginClosing(canCloseNow: true),
            .linkClosed,
        ],
        [
            .remoteEnded(.first), .timeIsUp, .beginClosing(canCloseNow: false),
            .allWritten(cutsStream: false), .allAcknowledged, .linkClosed,
        ],
        [.remoteEnded(.first), .fail(.second), .beginAbort, .linkClosed],
    ]

    private static let reasons: [Lifecycle.Event] = [
        .close(.second, handshakeFailure: Failure(number: 2)), .fail(.second),
        .writeFailed(.second, mayDeliver: true), .writeFailed(.second, mayDeliver: false),
    ]

    @Test(arguments: ways.indices) func `the first reason stays, whatever comes after it`(way: Int) {
        for later in Self.reasons {
            for place in 1...Self.ways[way].count {
                var lifecycle = Lifecycle()
                _ = lifecycle.apply(.open)
                var events = Self.ways[way]
                events.insert(later, at: place)
                for event in events + [.beginAbort, .linkClosed] { _ = lifecycle.apply(event) }
                #expect(lifecycle.hasEnded, "\(later) at \(place)")
                #expect(lifecycle.end?.reason == .first, "\(later) at \(place)")
                #expect(lifecycle.end?.wasOpen == true)
                #expect(lifecycle.end?.handshakeFailure == nil)
            }
        }
    }

    @Test(arguments: [[], [.onPeerBegins], [.onPeerBegins, .onPeerReturned]] as [[Lifecycle.Event]])
    func `a dial rethrows what the handshake threw, and the reason when something else came first`(
        start: [Lifecycle.Event]
    ) {
        var refused = lifecycle(after: start)
        _ = refused.apply(.close(.first, handshakeFailure: Failure(number: 1)))
        for event in Self.reasons + [.beginAbort, .open, .linkClosed] { _ = refused.apply(event) }
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
        let events = [.onPeerBegins] + Self.ways[way]
        for opens in [false, true] {
            for place in 1...events.count {
                var events = events
                // onPeer returns, once or (the node's own time-out) twice; the connection opens in front of
                // it or not.
                events.insert(contentsOf: opens ? [.open, .onPeerReturned] : [.onPeerReturned], at: place)
                var lifecycle = Lifecycle()
                var told = 0
                for event in events + [.onPeerReturned] {
                    let actions = lifecycle.apply(event)
                    if actions.contains(.tellNode), lifecycle.end?.isInOnPeer == false { told += 1 }
                    if actions.contains(.tellDisconnect) { told += 1 }
                }
                #expect(lifecycle.hasEnded && told == 1, "onPeer returns at \(place), opens: \(opens)")
            }
        }
    }

    @Test func `an end behind onPeer's return waits for it no more, though the connection is not open`() {
        var lifecycle = lifecycle(after: [.onPeerBegins, .onPeerReturned, .fail(.first), .beginAbort])
        #expect(lifecycle.apply(.linkClosed).contains(.tellNode))
        #expect(lifecycle.end?.isInOnPeer == false)
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
                if actions.contains(.closeLink) { closes += 1 }
                if actions.contains(.tellDisconnect) { disconnects += 1 }
                #expect(lifecycle.state.rank >= before.state.rank, "no way leads back")
                let isOpen = ["open", "halfClosed"].contains(lifecycle.state.name)
                #expect(actions.isEmpty || lifecycle.end != nil || isOpen)
            }
            for _ in 0..<Int.random(in: 0...30, using: &numbers) {
                let event = Event.all[Int.random(in: 0..<Event.all.count, using: &numbers)].event
                if case .linkClosed = event { continue }
                walk(event)
            }
            // What the connection does by itself in the end.
            for event: Lifecycle.Event in [.fail(.second), .timeIsUp, .beginAbort] { walk(event) }
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
            ("handshake", []), ("inOnPeer", [.onPeerBegins]),
            ("afterOnPeer", [.onPeerBegins, .onPeerReturned]),
            ("open", [.open]), ("open, onPeer runs", [.onPeerBegins, .open]),
            ("halfClosed, after open", [.open, .remoteEnded(.first)]),
        ] + ends("after open", [.open]) + ends("onPeer runs", [.onPeerBegins])

    private static func ends(
        _ name: String,
        _ path: [Lifecycle.Event]
    ) -> [(name: String, path: [Lifecycle.Event])] {
        let close: Lifecycle.Event = .close(.first, handshakeFailure: Failure(number: 1))
        let begin: Lifecycle.Event = .beginClosing(canCloseNow: false)
        return [
            ("readingRest, \(name)", path + [.writeFailed(.first, mayDeliver: true)]),
            ("closeRequested, \(name)", path + [close]),
            ("flushing, \(name)", path + [close, begin]),
            ("awaitingAck, \(name)", path + [close, begin, .allWritten(cutsStream: false)]),
            ("awaitingAck, cut, \(name)", path + [close, begin, .allWritten(cutsStream: true)]),
            ("failed, \(name)", path + [.fail(.first)]),
            ("closingLink, \(name)", path + [.fail(.first), .beginAbort]),
            ("ended, \(name)", path + [.fail(.first), .beginAbort, .linkClosed]),
        ]
    }
}

private enum Event {
    static let all: [(event: Lifecycle.Event, name: String)] = [
        (.onPeerBegins, "onPeer begins"), (.onPeerReturned, "onPeer returned"), (.open, "open"),
        (.remoteEnded(.second), "remote ended"),
        (.close(.second, handshakeFailure: nil), "close"),
        (.close(.second, handshakeFailure: Failure(number: 2)), "close with failure"),
        (.fail(.second), "fail"),
        (.writeFailed(.second, mayDeliver: true), "write failed, may deliver"),
        (.writeFailed(.second, mayDeliver: false), "write failed"),
        (.beginClosing(canCloseNow: false), "begin closing"),
        (.beginClosing(canCloseNow: true), "begin closing, can close now"),
        (.allWritten(cutsStream: false), "all written"),
        (.allWritten(cutsStream: true), "all written, a stream is cut"),
        (.allAcknowledged, "all acknowledged"), (.timeIsUp, "time is up"),
        (.beginAbort, "begin abort"), (.linkClosed, "link closed"),
    ]
}

extension Lifecycle.State {
    fileprivate var name: String {
        switch self {
        case .handshake: "handshake"
        case .inOnPeer: "inOnPeer"
        case .afterOnPeer: "afterOnPeer"
        case .open: "open"
        case .halfClosed: "halfClosed"
        case .readingRest: "readingRest"
        case .closeRequested: "closeRequested"
        case .flushing: "flushing"
        case .awaitingAck(_, cutsStream: false): "awaitingAck"
        case .awaitingAck(_, cutsStream: true): "awaitingAck, cut"
        case .failed: "failed"
        case .closingLink: "closingLink"
        case .ended: "ended"
        }
    }

    /// States are passed in this order.
    fileprivate var rank: Int {
        let order = [
            "handshake", "inOnPeer", "afterOnPeer", "open", "halfClosed", "readingRest",
            "closeRequested", "flushing", "awaitingAck", "awaitingAck, cut", "failed", "closingLink", "ended",
        ]
        return order.firstIndex(of: name) ?? -1
    }
}

extension Lifecycle.Event {
    /// The reason that the event gives to an end.
    fileprivate var reason: ParleyError? {
        switch self {
        case .remoteEnded(let reason), .close(let reason, _), .fail(let reason),
            .writeFailed(let reason, _):
            reason
        case .linkClosed: ParleyError(.closed, "the connection is closed")
        default: nil
        }
    }

    fileprivate var handshakeFailure: Failure? {
        if case .close(_, let failure) = self { failure as? Failure } else { nil }
    }
}
