/// How far a connection has come, from the handshake to its end: a value without I/O.
///
/// ``apply(_:)`` is the only way from one state to the next. It returns what the connection has to do; the connection
/// decides nothing of its own. The first reason for an end stays the reason.
///
/// | state | meaning |
/// |---|---|
/// | `handshake` | the handshake runs |
/// | `announcing` | `onPeer` runs |
/// | `announced` | `onPeer` has returned; the connection is not open yet |
/// | `open` | messages flow |
/// | `draining` | the link takes nothing more; what it still brings is delivered |
/// | `closeRequested` | an orderly end was asked for; the loop's thread has not begun it |
/// | `flushing` | what was accepted is written out; what arrives is dropped |
/// | `lingering` | all of it is written; the other side's kernel does not have all of it |
/// | `failed` | the link is to be closed at once |
/// | `closingLink` | the link is closing |
/// | `ended` | the link is gone |
///
/// | event | from | to | actions |
/// |---|---|---|---|
/// | `announce` | handshake | announcing | |
/// | `announced` | announcing | announced | |
/// | | every state after open | the same; the end waits for `onPeer` no more | `tellDisconnect` in `ended`, if it waited |
/// | `open` | handshake, announcing, announced | open | `wakeWaiters` |
/// | `close` | handshake, announcing, announced, open, draining | closeRequested | `wakeWaiters`, `stopDelivering`, `beginClosing` |
/// | `fail` | all before failed | failed | `wakeWaiters`, `endInput`, `closeLink` |
/// | `writeFailed` | handshake, announcing, announced, open | draining, if the link can still bring something | `wakeWaiters`, `dropUnsent`, `startCloseTimer` |
/// | | the same, otherwise; draining, closeRequested, flushing, lingering | failed | as `fail`, and `dropUnsent` |
/// | `inputFailed` | all before failed | failed | as `fail` |
/// | `beginClosing` | closeRequested | flushing | `discardInput`, `startCloseTimer`, `flush` |
/// | | closeRequested, when all has arrived | closingLink | `closeLinkNow` |
/// | `allWritten` | flushing | lingering | `shutDown` |
/// | `allArrived` | lingering | closingLink | `closeLinkNow` |
/// | `timeIsUp` | draining, flushing, lingering | closingLink | `endInput`, `closeLinkNow`, `resetIfCutOff` |
/// | `linkClosing` | failed | closingLink | `closeLinkNow`, `resetIfCutOff` |
/// | `linkClosed` | every state but ended | ended | `wakeWaiters`, `endInput`, `tellNode` |
///
/// Every other pair leaves the state as it is and asks for nothing: events of several threads may cross.
struct Lifecycle {
    enum State {
        case handshake
        case announcing
        case announced
        case open
        case draining(End)
        case closeRequested(End)
        case flushing(End)
        case lingering(End)
        case failed(End)
        case closingLink(End)
        case ended(End)
    }

    enum Event {
        /// The handshake went well; `onPeer` is called.
        case announce
        /// `onPeer` has returned or thrown.
        case announced
        /// Handshake and `onPeer` went well.
        case open
        /// An orderly end is asked for; the error is what a dial rethrows instead of the reason.
        case close(ParleyError, handshakeFailure: (any Error)?)
        /// The connection has to end at once.
        case fail(ParleyError)
        /// The link takes no more; and whether it may still bring something.
        case writeFailed(ParleyError, mayDeliver: Bool)
        /// The link failed while reading.
        case inputFailed(ParleyError)
        /// The loop's thread turns to a requested close; and whether there is nothing to wait for.
        case beginClosing(hasAllArrived: Bool)
        /// Everything that was accepted is written.
        case allWritten
        /// The other side's kernel has everything.
        case allArrived
        /// The close time-out has passed.
        case timeIsUp
        /// The loop's thread turns to a failed connection.
        case linkClosing
        /// The link has called back: it is gone.
        case linkClosed
    }

    /// What the connection has to do, in this order.
    struct Actions: OptionSet {
        let rawValue: UInt16

        /// Wake all who wait: to send, to read, or for the connection to change.
        static let wakeWaiters = Actions(rawValue: 1)
        /// Reads throw the reason from now on, and nothing is delivered.
        static let stopDelivering = Actions(rawValue: 1 << 1)
        /// Nothing more arrives; what did is still delivered.
        static let endInput = Actions(rawValue: 1 << 2)
        /// Drop what waits to be written.
        static let dropUnsent = Actions(rawValue: 1 << 3)
        /// Apply `beginClosing` on the loop's thread.
        static let beginClosing = Actions(rawValue: 1 << 4)
        /// Read and drop what still comes: bytes left in the socket would turn the close into a reset, which can
        /// take with it what was sent.
        static let discardInput = Actions(rawValue: 1 << 5)
        /// Apply `timeIsUp` when the close time-out has passed.
        static let startCloseTimer = Actions(rawValue: 1 << 6)
        /// Write what was accepted.
        static let flush = Actions(rawValue: 1 << 7)
        /// Tell the other side that nothing more comes, and look whether it has everything.
        static let shutDown = Actions(rawValue: 1 << 8)
        /// Apply `linkClosing` on the loop's thread.
        static let closeLink = Actions(rawValue: 1 << 9)
        /// Close the link in order. The caller is on the loop's thread.
        static let closeLinkNow = Actions(rawValue: 1 << 10)
        /// Close it with a reset instead if something that was accepted is lost: the other side shall not take that for
        /// an orderly end.
        static let resetIfCutOff = Actions(rawValue: 1 << 13)
        /// The node forgets the connection.
        static let tellNode = Actions(rawValue: 1 << 11)
        /// Call `onDisconnect`, which has waited for `onPeer`.
        static let tellDisconnect = Actions(rawValue: 1 << 12)
    }

    /// What is known of the end once it has begun.
    final class End: Sendable {
        let reason: ParleyError
        /// What a dial rethrows instead of the reason.
        let handshakeFailure: (any Error)?
        /// Handshake and `onPeer` had gone well.
        let wasOpen: Bool
        /// `onPeer` still runs; `onDisconnect` waits for it.
        let isAnnouncing: Bool

        init(
            _ reason: ParleyError,
            handshakeFailure: (any Error)? = nil,
            wasOpen: Bool,
            isAnnouncing: Bool
        ) {
            self.reason = reason
            self.handshakeFailure = handshakeFailure
            self.wasOpen = wasOpen
            self.isAnnouncing = isAnnouncing
        }

        fileprivate var announced: End {
            End(reason, handshakeFailure: handshakeFailure, wasOpen: wasOpen, isAnnouncing: false)
        }
    }

    private(set) var state = State.handshake

    /// Goes to the next state and says what follows from it.
    mutating func apply(_ event: Event) -> Actions {
        let (next, actions) = Self.transition(state, event)
        if let next { state = next }
        return actions
    }

    /// The next state, if it is another one, and the actions.
    private static func transition(_ state: State, _ event: Event) -> (State?, Actions) {
        switch (state, event) {
        // MARK: To the open connection
        case (.handshake, .announce): return (.announcing, [])
        case (.announcing, .announced): return (.announced, [])
        case (.handshake, .announced), (.announced, .announced), (.open, .announced): return (nil, [])
        case (.handshake, .open), (.announcing, .open), (.announced, .open): return (.open, [.wakeWaiters])
        case (_, .announce), (_, .open): return (nil, [])

        // MARK: `onPeer` returns behind the end
        case (.draining(let end), .announced): return (.draining(end.announced), [])
        case (.closeRequested(let end), .announced): return (.closeRequested(end.announced), [])
        case (.flushing(let end), .announced): return (.flushing(end.announced), [])
        case (.lingering(let end), .announced): return (.lingering(end.announced), [])
        case (.failed(let end), .announced): return (.failed(end.announced), [])
        case (.closingLink(let end), .announced): return (.closingLink(end.announced), [])
        case (.ended(let end), .announced):
            return end.isAnnouncing ? (.ended(end.announced), [.tellDisconnect]) : (nil, [])

        // MARK: The end begins
        case (.handshake, .close(let reason, let failure)), (.announcing, .close(let reason, let failure)),
            (.announced, .close(let reason, let failure)):
            return closeRequested(end(of: state, reason, failure))
        case (.open, .close(let reason, _)): return closeRequested(end(of: state, reason))
        case (.draining(let end), .close): return closeRequested(end)
        case (.handshake, .fail(let reason)), (.announcing, .fail(let reason)),
            (.announced, .fail(let reason)), (.open, .fail(let reason)),
            (.draining, .fail(let reason)), (.closeRequested, .fail(let reason)),
            (.flushing, .fail(let reason)), (.lingering, .fail(let reason)):
            return failed(end(of: state, reason))
        case (.handshake, .writeFailed(let error, let mayDeliver)),
            (.announcing, .writeFailed(let error, let mayDeliver)),
            (.announced, .writeFailed(let error, let mayDeliver)),
            (.open, .writeFailed(let error, let mayDeliver)):
            guard mayDeliver else { return failed(end(of: state, error), also: [.dropUnsent]) }
            return (.draining(end(of: state, error)), [.wakeWaiters, .dropUnsent, .startCloseTimer])
        case (.draining, .writeFailed(let error, _)), (.closeRequested, .writeFailed(let error, _)),
            (.flushing, .writeFailed(let error, _)), (.lingering, .writeFailed(let error, _)):
            return failed(end(of: state, error), also: [.dropUnsent])
        case (.handshake, .inputFailed(let reason)), (.announcing, .inputFailed(let reason)),
            (.announced, .inputFailed(let reason)), (.open, .inputFailed(let reason)),
            (.draining, .inputFailed(let reason)), (.closeRequested, .inputFailed(let reason)),
            (.flushing, .inputFailed(let reason)), (.lingering, .inputFailed(let reason)):
            return failed(end(of: state, reason))

        // MARK: An orderly end
        case (.closeRequested(let end), .beginClosing(let hasAllArrived)):
            guard !hasAllArrived else { return (.closingLink(end), [.closeLinkNow]) }
            return (.flushing(end), [.discardInput, .startCloseTimer, .flush])
        case (.flushing(let end), .allWritten): return (.lingering(end), [.shutDown])
        case (.lingering(let end), .allArrived): return (.closingLink(end), [.closeLinkNow])
        case (.draining(let end), .timeIsUp), (.flushing(let end), .timeIsUp),
            (.lingering(let end), .timeIsUp):
            return (.closingLink(end), [.endInput, .closeLinkNow, .resetIfCutOff])

        // MARK: The link goes
        case (.failed(let end), .linkClosing): return (.closingLink(end), [.closeLinkNow, .resetIfCutOff])
        case (.ended, .linkClosed): return (nil, [])
        case (_, .linkClosed):
            let end = end(of: state, ParleyError(.closed, "the connection is closed"))
            return (.ended(end), [.wakeWaiters, .endInput, .tellNode])

        // MARK: What has come too late, or too early
        case (_, .close), (_, .fail), (_, .writeFailed), (_, .inputFailed), (_, .beginClosing),
            (_, .allWritten), (_, .allArrived), (_, .timeIsUp), (_, .linkClosing):
            return (nil, [])
        }
    }

    private static func closeRequested(_ end: End) -> (State?, Actions) {
        (.closeRequested(end), [.wakeWaiters, .stopDelivering, .beginClosing])
    }

    private static func failed(_ end: End, also more: Actions = []) -> (State?, Actions) {
        (.failed(end), more.union([.wakeWaiters, .endInput, .closeLink]))
    }

    /// The end that has begun, or one with this reason.
    private static func end(of state: State, _ reason: ParleyError, _ failure: (any Error)? = nil) -> End {
        switch state {
        case .handshake, .announced:
            End(reason, handshakeFailure: failure, wasOpen: false, isAnnouncing: false)
        case .announcing: End(reason, handshakeFailure: failure, wasOpen: false, isAnnouncing: true)
        case .open: End(reason, wasOpen: true, isAnnouncing: false)
        case .draining(let end), .closeRequested(let end), .flushing(let end), .lingering(let end),
            .failed(let end), .closingLink(let end), .ended(let end):
            end
        }
    }
}

// MARK: - What follows from the state

extension Lifecycle {
    /// The end, once it has begun: sends throw its reason then.
    @inline(__always)
    var end: End? {
        switch state {
        case .handshake, .announcing, .announced, .open: nil
        case .draining(let end), .closeRequested(let end), .flushing(let end), .lingering(let end),
            .failed(let end), .closingLink(let end), .ended(let end):
            end
        }
    }

    /// Whether the connection is neither open nor ending: handshake or `onPeer` run, or are just over.
    var isStarting: Bool {
        switch state {
        case .handshake, .announcing, .announced: true
        default: false
        }
    }

    /// Whether it is open, or was.
    var wasOpen: Bool { if case .open = state { true } else { end?.wasOpen ?? false } }

    /// Whether it counts as a peer: it has been open, and is not gone.
    var isPeer: Bool { wasOpen && !hasEnded }

    /// Whether an orderly end writes out what was accepted.
    @inline(__always)
    var isFlushing: Bool { if case .flushing = state { true } else { false } }

    /// Whether the link is gone.
    var hasEnded: Bool { if case .ended = state { true } else { false } }
}
