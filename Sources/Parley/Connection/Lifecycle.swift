/// The state of a connection, from the handshake to its end. A value without I/O.
///
/// Only ``apply(_:)`` changes the state. It returns the actions that the connection performs; the connection
/// itself decides nothing. The first reason for the end is the reason.
///
/// | state | meaning |
/// |---|---|
/// | `handshake` | the handshake runs |
/// | `announcing` | `onPeer` runs |
/// | `announced` | `onPeer` has returned; the connection is not open yet |
/// | `open` | messages flow |
/// | `draining` | the link takes no more bytes; what it still delivers is read |
/// | `closeRequested` | an orderly end was requested; the loop's thread has not started it |
/// | `flushing` | what was accepted is written; input is dropped |
/// | `lingering` | everything is written, but the other side's kernel does not have all of it |
/// | `failed` | the link has to be closed at once |
/// | `closingLink` | the link is closing |
/// | `ended` | the link is closed |
///
/// | event | from | to | actions |
/// |---|---|---|---|
/// | `announce` | handshake | announcing | |
/// | `announced` | announcing | announced | |
/// | | all after open | the same; the end no longer waits for `onPeer` | `tellDisconnect` in `ended` |
/// | `open` | handshake, announcing, announced | open | `wakeWaiters` |
/// | `close` | all before closeRequested | closeRequested | `wakeWaiters`, `stopDelivering`, `beginClosing` |
/// | `fail` | all before failed | failed | `wakeWaiters`, `endInput`, `closeLink` |
/// | `writeFailed` | open or before, input left | draining | `wakeWaiters`, `dropUnsent`, `startCloseTimer` |
/// | | all before failed, otherwise | failed | as `fail`, and `dropUnsent` |
/// | `inputFailed` | all before failed | failed | as `fail` |
/// | `beginClosing` | closeRequested | flushing | `discardInput`, `startCloseTimer`, `flush` |
/// | | closeRequested, when all has arrived | closingLink | `closeLinkNow` |
/// | `allWritten` | flushing | lingering | `shutDown` |
/// | `allArrived` | lingering | closingLink | `closeLinkNow` |
/// | `timeIsUp` | draining, flushing, lingering | closingLink | `endInput`, `closeLinkNow`, `resetIfCutOff` |
/// | `linkClosing` | failed | closingLink | `closeLinkNow`, `resetIfCutOff` |
/// | `linkClosed` | every state but ended | ended | `wakeWaiters`, `endInput`, `tellNode` |
///
/// Every other pair changes nothing and has no actions: events of different threads may cross.
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
        /// The handshake succeeded; `onPeer` is called.
        case announce
        /// `onPeer` has returned or thrown.
        case announced
        /// Handshake and `onPeer` succeeded.
        case open
        /// An orderly end was requested. `handshakeFailure` is the error that a dial throws instead of the
        /// reason.
        case close(ParleyError, handshakeFailure: (any Error)?)
        /// The connection has to end at once.
        case fail(ParleyError)
        /// The link takes no more bytes. `mayDeliver`: it may still deliver input.
        case writeFailed(ParleyError, mayDeliver: Bool)
        /// The link failed while reading.
        case inputFailed(ParleyError)
        /// The loop's thread starts a requested close. `hasAllArrived`: there is nothing to wait for.
        case beginClosing(hasAllArrived: Bool)
        /// Everything that was accepted is written.
        case allWritten
        /// The other side's kernel has everything.
        case allArrived
        /// The close time-out has passed.
        case timeIsUp
        /// The loop's thread handles a failed connection.
        case linkClosing
        /// The link's close callback was called.
        case linkClosed
    }

    /// What the connection has to do, in this order.
    struct Actions: OptionSet {
        let rawValue: UInt16

        /// Wake everyone who waits to send, to read, or for the connection to open or end.
        static let wakeWaiters = Actions(rawValue: 1)
        /// Reads throw the reason from now on, and nothing more is delivered.
        static let stopDelivering = Actions(rawValue: 1 << 1)
        /// No more input arrives; what has arrived is still delivered.
        static let endInput = Actions(rawValue: 1 << 2)
        /// Drop what is not written yet.
        static let dropUnsent = Actions(rawValue: 1 << 3)
        /// Apply `beginClosing` on the loop's thread.
        static let beginClosing = Actions(rawValue: 1 << 4)
        /// Read and drop further input: unread bytes in the socket would turn the close into a reset, which
        /// can destroy what was sent.
        static let discardInput = Actions(rawValue: 1 << 5)
        /// Apply `timeIsUp` when the close time-out has passed.
        static let startCloseTimer = Actions(rawValue: 1 << 6)
        /// Write what was accepted.
        static let flush = Actions(rawValue: 1 << 7)
        /// Shut the sending side down, and check whether the other side has everything.
        static let shutDown = Actions(rawValue: 1 << 8)
        /// Apply `linkClosing` on the loop's thread.
        static let closeLink = Actions(rawValue: 1 << 9)
        /// Close the link in an orderly way. The caller is on the loop's thread.
        static let closeLinkNow = Actions(rawValue: 1 << 10)
        /// Close it with a reset instead if accepted bytes are lost, so that the other side does not mistake
        /// that for an orderly end.
        static let resetIfCutOff = Actions(rawValue: 1 << 13)
        /// The node forgets the connection.
        static let tellNode = Actions(rawValue: 1 << 11)
        /// Call `onDisconnect`, which waited for `onPeer`.
        static let tellDisconnect = Actions(rawValue: 1 << 12)
    }

    /// The end of a connection, once it has begun.
    final class End: Sendable {
        let reason: ParleyError
        /// The error that a dial throws instead of the reason.
        let handshakeFailure: (any Error)?
        /// Whether handshake and `onPeer` had succeeded.
        let wasOpen: Bool
        /// Whether `onPeer` still runs. `onDisconnect` waits for it.
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

    /// Applies an event. Returns the actions.
    mutating func apply(_ event: Event) -> Actions {
        let (next, actions) = Self.transition(state, event)
        if let next { state = next }
        return actions
    }

    /// The next state, nil when it does not change, and the actions.
    private static func transition(_ state: State, _ event: Event) -> (State?, Actions) {
        switch (state, event) {
        // MARK: To the open connection
        case (.handshake, .announce): return (.announcing, [])
        case (.announcing, .announced): return (.announced, [])
        case (.handshake, .announced), (.announced, .announced), (.open, .announced): return (nil, [])
        case (.handshake, .open), (.announcing, .open), (.announced, .open): return (.open, [.wakeWaiters])
        case (_, .announce), (_, .open): return (nil, [])

        // MARK: `onPeer` returns after the end began
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

        // MARK: The link closes
        case (.failed(let end), .linkClosing): return (.closingLink(end), [.closeLinkNow, .resetIfCutOff])
        case (.ended, .linkClosed): return (nil, [])
        case (_, .linkClosed):
            let end = end(of: state, ParleyError(.closed, "the connection is closed"))
            return (.ended(end), [.wakeWaiters, .endInput, .tellNode])

        // MARK: Events that come too late or too early
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

    /// The end that has begun, or a new one with this reason.
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
    /// The end, once it has begun. Sends then throw its reason.
    @inline(__always)
    var end: End? {
        switch state {
        case .handshake, .announcing, .announced, .open: nil
        case .draining(let end), .closeRequested(let end), .flushing(let end), .lingering(let end),
            .failed(let end), .closingLink(let end), .ended(let end):
            end
        }
    }

    /// Whether the connection is neither open nor ending.
    var isStarting: Bool {
        switch state {
        case .handshake, .announcing, .announced: true
        default: false
        }
    }

    /// Whether it is or was open.
    var wasOpen: Bool { if case .open = state { true } else { end?.wasOpen ?? false } }

    /// Whether it counts as a peer: it was opened and has not ended.
    var isPeer: Bool { wasOpen && !hasEnded }

    /// Whether an orderly end is writing what was accepted.
    @inline(__always)
    var isFlushing: Bool { if case .flushing = state { true } else { false } }

    /// Whether the link is closed.
    var hasEnded: Bool { if case .ended = state { true } else { false } }
}
