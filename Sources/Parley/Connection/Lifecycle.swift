/// The state of a connection, from the handshake to its end. A value without I/O.
///
/// Only ``apply(_:)`` changes the state. It returns the actions that the connection performs; the connection
/// itself decides nothing. The first reason for the end is the reason.
///
/// | state | meaning |
/// |---|---|
/// | `handshake` | the handshake runs |
/// | `inOnPeer` | `onPeer` runs |
/// | `afterOnPeer` | `onPeer` has returned; the connection is not open yet |
/// | `open` | messages flow |
/// | `halfClosed` | the other side sends no more; it still gets answers to what it sent |
/// | `readingRest` | the link takes no more bytes; what it still delivers is read |
/// | `closeRequested` | an orderly end was requested; the loop's thread has not started it |
/// | `flushing` | what was accepted is written; input is dropped |
/// | `awaitingAck` | all is written, but the other side does not have all of it |
/// | `awaitingAck`, a stream is cut | the same: a reset follows instead of an orderly end |
/// | `failed` | the link has to be closed at once |
/// | `closingLink` | the link is closing |
/// | `ended` | the link is closed |
///
/// | event | from | to | actions |
/// |---|---|---|---|
/// | `onPeerBegins` | handshake | inOnPeer | |
/// | `onPeerReturned` | inOnPeer | afterOnPeer | |
/// | | all after open | the same; the end no longer waits for `onPeer` | `tellDisconnect` in `ended` |
/// | `open` | handshake, inOnPeer, afterOnPeer | open | `wakeWaiters` |
/// | `remoteEnded` | open | halfClosed | `startCloseTimer` (a shorter one while nobody consumes) |
/// | `close` | all before closeRequested | closeRequested | `stopDelivering`, `beginClosing`, `wakeWaiters` |
/// | `fail` | all before failed | failed | `endInput`, `beginAbort`, `wakeWaiters` |
/// | `writeFailed` | to open, input left | readingRest | `dropUnhanded`, `startCloseTimer`, `wakeWaiters` |
/// | | all before failed, otherwise | failed | as `fail`, and `dropUnhanded` |
/// | `beginClosing` | closeRequested | flushing | `discardInput`, `startCloseTimer`, `flush` |
/// | | closeRequested, when nothing is left to do | closingLink | `closeLink` |
/// | `allWritten` | flushing | awaitingAck | `shutDown`, `checkAcknowledged` |
/// | | flushing, when a stream is cut | awaitingAck, a stream is cut | `checkAcknowledged` |
/// | `allAcknowledged` | awaitingAck | closingLink | `closeLink` |
/// | | awaitingAck, a stream is cut | closingLink | `closeLink`, `resetIfCutOff` |
/// | `timeIsUp` | halfClosed | closeRequested | as `close` |
/// | | readingRest, flushing, awaitingAck | closingLink | as `beginAbort`, and `endInput` |
/// | `beginAbort` | failed | closingLink | `closeLink`, `resetIfCutOff` |
/// | `linkClosed` | every state but ended | ended | `endInput`, `tellNode`, `wakeWaiters` |
///
/// Every other pair changes nothing and has no actions: events of different threads may cross.
struct Lifecycle {
    enum State {
        case handshake
        case inOnPeer
        case afterOnPeer
        case open
        case halfClosed(End)
        case readingRest(End)
        case closeRequested(End)
        case flushing(End)
        case awaitingAck(End, cutsStream: Bool)
        case failed(End)
        case closingLink(End)
        case ended(End)
    }

    enum Event {
        /// The handshake succeeded; `onPeer` is called.
        case onPeerBegins
        /// `onPeer` has returned or thrown.
        case onPeerReturned
        /// Handshake and `onPeer` succeeded.
        case open
        /// The other side has ended its sending in an orderly way, and consumers are not done with what it
        /// sent.
        case remoteEnded(ParleyError)
        /// An orderly end was requested. `handshakeFailure` is the error that a dial throws instead of the
        /// reason.
        case close(ParleyError, handshakeFailure: (any Error)?)
        /// The connection has to end at once.
        case fail(ParleyError)
        /// The link takes no more bytes. `mayDeliver`: it may still deliver input.
        case writeFailed(ParleyError, mayDeliver: Bool)
        /// The loop's thread starts a requested close. `canCloseNow`: there is nothing to wait for.
        case beginClosing(canCloseNow: Bool)
        /// Everything that was accepted is written. `cutsStream`: the other side would take an orderly end
        /// for that of a stream that is not complete.
        case allWritten(cutsStream: Bool)
        /// The other side has everything; see ``Link/isAcknowledged``.
        case allAcknowledged
        /// The close time-out has passed.
        case timeIsUp
        /// The loop's thread handles a failed connection.
        case beginAbort
        /// The link's close callback was called, and no callback of the handshake runs on another thread.
        case linkClosed
    }

    /// What the connection has to do. `Connection.apply` decides the order.
    struct Actions: OptionSet {
        let rawValue: UInt16

        /// Drop what is not handed to the link yet.
        static let dropUnhanded = Actions(rawValue: 1)
        /// Reads throw the reason from now on, and nothing more is delivered.
        static let stopDelivering = Actions(rawValue: 1 << 1)
        /// No more input arrives; what has arrived is still delivered.
        static let endInput = Actions(rawValue: 1 << 2)
        /// Read and drop further input: unread bytes in the socket would turn the close into a reset, which
        /// can destroy what was sent.
        static let discardInput = Actions(rawValue: 1 << 3)
        /// Apply `beginClosing` on the loop's thread.
        static let beginClosing = Actions(rawValue: 1 << 4)
        /// Apply `beginAbort` on the loop's thread.
        static let beginAbort = Actions(rawValue: 1 << 5)
        /// Apply `timeIsUp` when the close time-out has passed.
        static let startCloseTimer = Actions(rawValue: 1 << 6)
        /// Write what was accepted.
        static let flush = Actions(rawValue: 1 << 7)
        /// Shut the sending side down.
        static let shutDown = Actions(rawValue: 1 << 8)
        /// Close the link in an orderly way. The caller is on the loop's thread.
        static let closeLink = Actions(rawValue: 1 << 9)
        /// Close it with a reset instead if accepted bytes are lost, so that the other side does not mistake
        /// that for an orderly end.
        static let resetIfCutOff = Actions(rawValue: 1 << 10)
        /// The node forgets the connection.
        static let tellNode = Actions(rawValue: 1 << 11)
        /// Wake everyone who waits to send, to read, or for the connection to open or end. The connection's
        /// place is free by then.
        static let wakeWaiters = Actions(rawValue: 1 << 12)
        /// Call `onDisconnect`, which waited for `onPeer`.
        static let tellDisconnect = Actions(rawValue: 1 << 13)
        /// Check whether the other side has everything, until it has.
        static let checkAcknowledged = Actions(rawValue: 1 << 14)
    }

    /// The end of a connection, once it has begun.
    final class End: Sendable {
        let reason: ParleyError
        /// The error that a dial throws instead of the reason.
        let handshakeFailure: (any Error)?
        /// Whether handshake and `onPeer` had succeeded.
        let wasOpen: Bool
        /// Whether `onPeer` still runs. `onDisconnect` waits for it.
        let isInOnPeer: Bool

        init(
            _ reason: ParleyError,
            handshakeFailure: (any Error)? = nil,
            wasOpen: Bool,
            isInOnPeer: Bool
        ) {
            self.reason = reason
            self.handshakeFailure = handshakeFailure
            self.wasOpen = wasOpen
            self.isInOnPeer = isInOnPeer
        }

        fileprivate var afterOnPeer: End {
            End(reason, handshakeFailure: handshakeFailure, wasOpen: wasOpen, isInOnPeer: false)
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
        case (.handshake, .onPeerBegins): return (.inOnPeer, [])
        case (.inOnPeer, .onPeerReturned): return (.afterOnPeer, [])
        case (.handshake, .onPeerReturned), (.afterOnPeer, .onPeerReturned), (.open, .onPeerReturned),
            (.halfClosed, .onPeerReturned):
            return (nil, [])
        case (.handshake, .open), (.inOnPeer, .open), (.afterOnPeer, .open): return (.open, [.wakeWaiters])
        case (_, .onPeerBegins), (_, .open): return (nil, [])

        // MARK: `onPeer` returns after the end began
        case (.readingRest(let end), .onPeerReturned): return (.readingRest(end.afterOnPeer), [])
        case (.closeRequested(let end), .onPeerReturned): return (.closeRequested(end.afterOnPeer), [])
        case (.flushing(let end), .onPeerReturned): return (.flushing(end.afterOnPeer), [])
        case (.awaitingAck(let end, let cutsStream), .onPeerReturned):
            return (.awaitingAck(end.afterOnPeer, cutsStream: cutsStream), [])
        case (.failed(let end), .onPeerReturned): return (.failed(end.afterOnPeer), [])
        case (.closingLink(let end), .onPeerReturned): return (.closingLink(end.afterOnPeer), [])
        case (.ended(let end), .onPeerReturned):
            return end.isInOnPeer ? (.ended(end.afterOnPeer), [.tellDisconnect]) : (nil, [])

        // MARK: The end begins
        case (.open, .remoteEnded(let reason)):
            return (.halfClosed(end(of: state, reason)), [.startCloseTimer])
        case (_, .remoteEnded): return (nil, [])
        case (.handshake, .close(let reason, let failure)), (.inOnPeer, .close(let reason, let failure)),
            (.afterOnPeer, .close(let reason, let failure)):
            return closeRequested(end(of: state, reason, failure))
        case (.open, .close(let reason, _)): return closeRequested(end(of: state, reason))
        case (.halfClosed(let end), .close), (.readingRest(let end), .close): return closeRequested(end)
        case (.halfClosed(let end), .timeIsUp): return closeRequested(end)
        case (.handshake, .fail(let reason)), (.inOnPeer, .fail(let reason)),
            (.afterOnPeer, .fail(let reason)), (.open, .fail(let reason)),
            (.halfClosed, .fail(let reason)), (.readingRest, .fail(let reason)),
            (.closeRequested, .fail(let reason)),
            (.flushing, .fail(let reason)), (.awaitingAck, .fail(let reason)):
            return failed(end(of: state, reason))
        case (.handshake, .writeFailed(let error, let mayDeliver)),
            (.inOnPeer, .writeFailed(let error, let mayDeliver)),
            (.afterOnPeer, .writeFailed(let error, let mayDeliver)),
            (.open, .writeFailed(let error, let mayDeliver)):
            guard mayDeliver else { return failed(end(of: state, error), also: [.dropUnhanded]) }
            return (.readingRest(end(of: state, error)), [.wakeWaiters, .dropUnhanded, .startCloseTimer])
        case (.halfClosed, .writeFailed(let error, _)), (.readingRest, .writeFailed(let error, _)),
            (.closeRequested, .writeFailed(let error, _)),
            (.flushing, .writeFailed(let error, _)), (.awaitingAck, .writeFailed(let error, _)):
            return failed(end(of: state, error), also: [.dropUnhanded])

        // MARK: An orderly end
        case (.closeRequested(let end), .beginClosing(let canCloseNow)):
            guard !canCloseNow else { return (.closingLink(end), [.closeLink]) }
            return (.flushing(end), [.discardInput, .startCloseTimer, .flush])
        case (.flushing(let end), .allWritten(let cutsStream)):
            let next = State.awaitingAck(end, cutsStream: cutsStream)
            return (next, cutsStream ? [.checkAcknowledged] : [.shutDown, .checkAcknowledged])
        case (.awaitingAck(let end, let cutsStream), .allAcknowledged):
            return (.closingLink(end), cutsStream ? [.closeLink, .resetIfCutOff] : [.closeLink])
        case (.readingRest(let end), .timeIsUp), (.flushing(let end), .timeIsUp),
            (.awaitingAck(let end, _), .timeIsUp):
            return (.closingLink(end), [.endInput, .closeLink, .resetIfCutOff])

        // MARK: The link closes
        case (.failed(let end), .beginAbort): return (.closingLink(end), [.closeLink, .resetIfCutOff])
        case (.ended, .linkClosed): return (nil, [])
        case (_, .linkClosed):
            let end = end(of: state, ParleyError(.closed, "the connection is closed"))
            return (.ended(end), [.wakeWaiters, .endInput, .tellNode])

        // MARK: Events that come too late or too early
        case (_, .close), (_, .fail), (_, .writeFailed), (_, .beginClosing),
            (_, .allWritten), (_, .allAcknowledged), (_, .timeIsUp), (_, .beginAbort):
            return (nil, [])
        }
    }

    private static func closeRequested(_ end: End) -> (State?, Actions) {
        (.closeRequested(end), [.wakeWaiters, .stopDelivering, .beginClosing])
    }

    private static func failed(_ end: End, also more: Actions = []) -> (State?, Actions) {
        (.failed(end), more.union([.wakeWaiters, .endInput, .beginAbort]))
    }

    /// The end that has begun, or a new one with this reason.
    private static func end(
        of state: State,
        _ reason: @autoclosure () -> ParleyError,
        _ failure: (any Error)? = nil
    ) -> End {
        switch state {
        case .handshake, .afterOnPeer:
            End(reason(), handshakeFailure: failure, wasOpen: false, isInOnPeer: false)
        case .inOnPeer: End(reason(), handshakeFailure: failure, wasOpen: false, isInOnPeer: true)
        case .open: End(reason(), wasOpen: true, isInOnPeer: false)
        case .halfClosed(let end), .readingRest(let end), .closeRequested(let end), .flushing(let end),
            .awaitingAck(let end, _), .failed(let end), .closingLink(let end), .ended(let end):
            end
        }
    }
}

// MARK: - What follows from the state

extension Lifecycle {
    /// The end, once it has begun. Sends then throw its reason. Nil for a half-closed connection.
    @inline(__always)
    var end: End? {
        switch state {
        case .handshake, .inOnPeer, .afterOnPeer, .open, .halfClosed: nil
        case .readingRest(let end), .closeRequested(let end), .flushing(let end), .awaitingAck(let end, _),
            .failed(let end), .closingLink(let end), .ended(let end):
            end
        }
    }

    /// Why no more input will be decoded, so that no answer to a request can come; nil while one may.
    var endOfAnswers: ParleyError? {
        switch state {
        case .handshake, .inOnPeer, .afterOnPeer, .open, .readingRest: nil
        case .halfClosed(let end), .closeRequested(let end), .flushing(let end), .awaitingAck(let end, _),
            .failed(let end), .closingLink(let end), .ended(let end):
            end.reason
        }
    }

    /// Whether the connection is neither open nor ending.
    var isStarting: Bool {
        switch state {
        case .handshake, .inOnPeer, .afterOnPeer: true
        default: false
        }
    }

    /// Whether the handshake runs.
    var isHandshaking: Bool { if case .handshake = state { true } else { false } }

    /// Whether `onPeer` runs, and the end has not begun.
    var isInOnPeer: Bool { if case .inOnPeer = state { true } else { false } }

    /// Whether it is or was open.
    var wasOpen: Bool {
        switch state {
        case .open, .halfClosed: true
        default: end?.wasOpen ?? false
        }
    }

    /// Whether it counts as a peer: it was opened and has not ended.
    var isPeer: Bool { wasOpen && !hasEnded }

    /// Whether an orderly end is writing what was accepted.
    @inline(__always)
    var isFlushing: Bool { if case .flushing = state { true } else { false } }

    /// Whether the link is closed.
    var hasEnded: Bool { if case .ended = state { true } else { false } }
}
