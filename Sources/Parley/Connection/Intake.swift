/// Decides whether a connection's link is read, and what happens to what it delivers. A value without I/O.
///
/// It changes under the receiving half's lock, together with the bytes. The caller of ``apply(_:)`` starts
/// or stops the link when ``isReading`` has changed.
///
/// | state | the link | what arrives |
/// |---|---|---|
/// | `reading` | is read | goes to handshake, decoder or stream |
/// | `paused` | is not read | a reader is behind; its next read resumes |
/// | `awaitingInbox` | is not read | the inbox has no room; it calls when it has |
/// | `readingToEnd` | is read | the link is dead: the rest is read at once, and its error follows |
/// | `discarding` | is read | is dropped: this side has closed |
/// | `over` | is closed | complete messages are delivered when the inbox has room |
///
/// | event | from | to |
/// |---|---|---|
/// | `decoded` | reading, paused | awaitingInbox, reading or paused, as the event says |
/// | | readingToEnd, over; not waiting | the same; it waits for the inbox if messages are held back |
/// | `inboxIsFull` | reading | awaitingInbox |
/// | `inboxHasRoom` | awaitingInbox | paused; `decoded` follows |
/// | | readingToEnd, over | the same, and no longer waits |
/// | `linkDied` | paused, awaitingInbox | readingToEnd |
/// | `discard` | all but over | discarding |
/// | `linkClosed` | all | over, and waits for the inbox as before |
///
/// Every other pair changes nothing.
struct Intake {
    enum State: Equatable {
        case reading
        case paused
        case awaitingInbox
        case readingToEnd(awaitsInbox: Bool)
        case discarding
        case over(awaitsInbox: Bool)
    }

    enum Event {
        /// The input was decoded as far as possible.
        ///
        /// - wantsInput: more input can be used.
        /// - isHeldBack: messages wait for room in the inbox.
        case decoded(wantsInput: Bool, isHeldBack: Bool)
        /// The last delivery filled the inbox.
        case inboxIsFull
        /// The inbox called: it has room.
        case inboxHasRoom
        /// The link was found dead while it was not read.
        case linkDied
        /// This side has closed the connection.
        case discard
        /// The link is closed.
        case linkClosed
    }

    private(set) var state = State.paused

    /// Applies an event.
    ///
    /// - Returns: whether to ask the inbox to call when it has room.
    mutating func apply(_ event: Event) -> Bool {
        let before = awaitsInbox
        switch (state, event) {
        case (.reading, .decoded(let wantsInput, let isHeldBack)),
            (.paused, .decoded(let wantsInput, let isHeldBack)):
            state = isHeldBack ? .awaitingInbox : wantsInput ? .reading : .paused
        case (.readingToEnd(false), .decoded(_, let isHeldBack)):
            state = .readingToEnd(awaitsInbox: isHeldBack)
        case (.over(false), .decoded(_, let isHeldBack)): state = .over(awaitsInbox: isHeldBack)
        case (.reading, .inboxIsFull): state = .awaitingInbox
        case (.awaitingInbox, .inboxHasRoom): state = .paused
        case (.readingToEnd, .inboxHasRoom): state = .readingToEnd(awaitsInbox: false)
        case (.over, .inboxHasRoom): state = .over(awaitsInbox: false)
        case (.paused, .linkDied): state = .readingToEnd(awaitsInbox: false)
        case (.awaitingInbox, .linkDied): state = .readingToEnd(awaitsInbox: true)
        case (.over, .discard): break
        case (_, .discard): state = .discarding
        case (_, .linkClosed): state = .over(awaitsInbox: before)
        case (.awaitingInbox, .decoded), (.readingToEnd(true), .decoded), (.over(true), .decoded),
            (.discarding, .decoded), (_, .inboxIsFull), (_, .inboxHasRoom), (_, .linkDied):
            break
        }
        return !before && awaitsInbox
    }

    /// Whether the link reports input.
    @inline(__always)
    var isReading: Bool {
        switch state {
        case .reading, .readingToEnd, .discarding: true
        case .paused, .awaitingInbox, .over: false
        }
    }

    /// Whether the inbox was asked to call.
    var awaitsInbox: Bool {
        switch state {
        case .awaitingInbox, .readingToEnd(true), .over(true): true
        case .reading, .paused, .readingToEnd(false), .discarding, .over(false): false
        }
    }

    /// Whether input is dropped.
    var isDiscarding: Bool { state == .discarding }
}
