import FaultProxy
import Testing

@testable import Parley

/// Every state and every event of what is read, and the walks between them.
@Suite struct IntakeTests {
    private typealias State = Intake.State

    private static let states: [(state: Intake.State, path: [Intake.Event])] = [
        (.paused, []),
        (.reading, [.wants]),
        (.awaitingInbox, [.heldBack]),
        (.readingToEnd(awaitsInbox: false), [.linkDied]),
        (.readingToEnd(awaitsInbox: true), [.heldBack, .linkDied]),
        (.discarding, [.discard]),
        (.over(awaitsInbox: false), [.linkClosed]),
        (.over(awaitsInbox: true), [.heldBack, .linkClosed]),
    ]

    private static let events: [(event: Intake.Event, name: String)] = [
        (.decoded(wantsInput: false, isHeldBack: false), "decoded"),
        (.wants, "decoded, wants input"),
        (.heldBack, "decoded, held back"),
        (.decoded(wantsInput: true, isHeldBack: true), "decoded, wants input, held back"),
        (.inboxIsFull, "inbox is full"),
        (.inboxHasRoom, "inbox has room"),
        (.linkDied, "link died"),
        (.discard, "discard"),
        (.linkClosed, "link closed"),
    ]

    /// The next state for each event, in the order of `events`; and the events that ask the inbox to call.
    private static let table: [(from: Intake.State, to: [Intake.State], asks: Set<String>)] = [
        (
            .paused,
            [
                .paused, .reading, .awaitingInbox, .awaitingInbox, .paused, .paused,
                .readingToEnd(awaitsInbox: false), .discarding, .over(awaitsInbox: false),
            ],
            ["decoded, held back", "decoded, wants input, held back"]
        ),
        (
            .reading,
            [
                .paused, .reading, .awaitingInbox, .awaitingInbox, .awaitingInbox, .reading, .reading,
                .discarding,
                .over(awaitsInbox: false),
            ],
            ["decoded, held back", "decoded, wants input, held back", "inbox is full"]
        ),
        (
            .awaitingInbox,
            [
                .awaitingInbox, .awaitingInbox, .awaitingInbox, .awaitingInbox, .awaitingInbox, .paused,
                .readingToEnd(awaitsInbox: true), .discarding, .over(awaitsInbox: true),
            ],
            []
        ),
        (
            .readingToEnd(awaitsInbox: false),
            [
                .readingToEnd(awaitsInbox: false), .readingToEnd(awaitsInbox: false),
                .readingToEnd(awaitsInbox: true), .readingToEnd(awaitsInbox: true),
                .readingToEnd(awaitsInbox: false), .readingToEnd(awaitsInbox: false),
                .readingToEnd(awaitsInbox: false), .discarding, .over(awaitsInbox: false),
            ],
            ["decoded, held back", "decoded, wants input, held back"]
        ),
        (
            .readingToEnd(awaitsInbox: true),
            [
                .readingToEnd(awaitsInbox: true), .readingToEnd(awaitsInbox: true),
                .readingToEnd(awaitsInbox: true), .readingToEnd(awaitsInbox: true),
                .readingToEnd(awaitsInbox: true), .readingToEnd(awaitsInbox: false),
                .readingToEnd(awaitsInbox: true), .discarding, .over(awaitsInbox: true),
            ],
            []
        ),
        (
            .discarding,
            [
                .discarding, .discarding, .discarding, .discarding, .discarding, .discarding, .discarding,
                .discarding, .over(awaitsInbox: false),
            ],
            []
        ),
        (
            .over(awaitsInbox: false),
            [
                .over(awaitsInbox: false), .over(awaitsInbox: false), .over(awaitsInbox: true),
                .over(awaitsInbox: true), .over(awaitsInbox: false), .over(awaitsInbox: false),
                .over(awaitsInbox: false), .over(awaitsInbox: false), .over(awaitsInbox: false),
            ],
            ["decoded, held back", "decoded, wants input, held back"]
        ),
        (
            .over(awaitsInbox: true),
            [
                .over(awaitsInbox: true), .over(awaitsInbox: true), .over(awaitsInbox: true),
                .over(awaitsInbox: true), .over(awaitsInbox: true), .over(awaitsInbox: false),
                .over(awaitsInbox: true), .over(awaitsInbox: true), .over(awaitsInbox: true),
            ],
            []
        ),
    ]

    @Test func `every state answers every event as the table says`() throws {
        #expect(Self.table.count == Self.states.count)
        for (state, path) in Self.states {
            let row = try #require(Self.table.first { $0.from == state })
            try #require(row.to.count == Self.events.count)
            for (index, (event, name)) in Self.events.enumerated() {
                var intake = Intake()
                for step in path { _ = intake.apply(step) }
                #expect(intake.state == state)
                let asks = intake.apply(event)
                #expect(intake.state == row.to[index], "\(state) | \(name)")
                #expect(asks == row.asks.contains(name), "\(state) | \(name)")
            }
        }
    }

    @Test func `which states read, wait for the inbox and drop`() {
        let facts: [(Intake.State, isReading: Bool, awaitsInbox: Bool)] = [
            (.paused, false, false), (.reading, true, false), (.awaitingInbox, false, true),
            (.readingToEnd(awaitsInbox: false), true, false), (.readingToEnd(awaitsInbox: true), true, true),
            (.discarding, true, false), (.over(awaitsInbox: false), false, false),
            (.over(awaitsInbox: true), false, true),
        ]
        for (state, path) in Self.states {
            var intake = Intake()
            for step in path { _ = intake.apply(step) }
            let fact = facts.first { $0.0 == state }
            #expect(intake.isReading == fact?.isReading, "\(state)")
            #expect(intake.awaitsInbox == fact?.awaitsInbox, "\(state)")
            #expect(intake.isDiscarding == (state == .discarding), "\(state)")
        }
    }

    @Test(arguments: 0..<UInt64(500)) func `the inbox is asked at most once until it calls`(seed: UInt64) {
        var numbers = SeededGenerator(seed: seed)
        var intake = Intake()
        var isAsked = false
        var wasDropped = false
        for _ in 0..<200 {
            var (event, name) = Self.events[Int.random(in: 0..<Self.events.count, using: &numbers)]
            // What was dropped is not held back, and nothing comes behind it. The inbox calls whom it was
            // asked for.
            if name.contains("held back"), wasDropped { event = .wants }
            if case .inboxHasRoom = event {
                guard isAsked else { continue }
                isAsked = false
            }
            // A walk that ended soon would see little of the rest.
            if case .discard = event, Int.random(in: 0..<10, using: &numbers) > 0 { continue }
            if case .linkClosed = event, Int.random(in: 0..<10, using: &numbers) > 0 { continue }
            if case .discard = event { wasDropped = true }
            let wasOver = if case .over = intake.state { true } else { false }
            if intake.apply(event) {
                #expect(!isAsked, "\(name)")
                isAsked = true
                name = ""
            }
            #expect(!intake.awaitsInbox || isAsked, "nobody would call")
            #expect(!wasOver || !intake.isReading, "a link that is gone is not read")
        }
    }

    @Test
    func `a connection whose inbox is full resumes when it calls, and only what is held back waits again`() {
        var intake = Intake()
        #expect(!intake.apply(.wants) && intake.isReading)
        #expect(intake.apply(.inboxIsFull) && !intake.isReading)
        #expect(intake.apply(.heldBack) == false, "it was asked already")
        #expect(!intake.apply(.inboxHasRoom) && !intake.isReading, "what lies here comes first")
        #expect(intake.apply(.heldBack) == true)
        #expect(intake.apply(.inboxHasRoom) == false)
        #expect(!intake.apply(.wants) && intake.isReading)
    }
}

extension Intake.Event {
    fileprivate static let wants = Intake.Event.decoded(wantsInput: true, isHeldBack: false)
    fileprivate static let heldBack = Intake.Event.decoded(wantsInput: false, isHeldBack: true)
}
