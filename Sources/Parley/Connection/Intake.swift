/// Whether a connection's link is read, and what becomes of what it brings: a value without I/O.
///
/// It changes under the receiving half's lock, with the bytes that it is about. The link itself is told by whoever
/// applied the event, from ``isReading`` before and after.
///
/// | state | the link | what arrives |
/// |---|---|---|
/// | `reading` | is read | goes to handshake, decoder or stream |
/// | `paused` | is not read | a reader is behind; its next read resumes |
/// | `awaitingInbox` | is not read | the inbox has no room; it calls when it has |
/// | `readingToEnd` | is read | the link is dead: what is left is taken at once, and its reason behind it |
/// | `discarding` | is read | is dropped: this side has closed |
/// | `over` | is gone | what was complete is delivered when the inbox has room |
///
/// | event | from | to |
/// |---|---|---|
/// | `decoded` | reading, paused | awaitingInbox, reading or paused, whatever the bytes want |
/// | | readingToEnd, over; neither waiting for the inbox | the same, and waits for the inbox or not |
/// | `inboxIsFull` | reading | awaitingInbox |
/// | `inboxHasRoom` | awaitingInbox | paused; `decoded` follows |
/// | | readingToEnd, over | the same, waits no more |
/// | `linkDied` | paused, awaitingInbox | readingToEnd |
/// | `discard` | all but over | discarding |
/// | `linkClosed` | all | over, and waits for the inbox as before |
///
/// Every other pair leaves the state as it is.
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
        /// What has arrived was decoded as far as possible.
        ///
        /// - wantsInput: there is a use for more bytes.
        /// - isHeldBack: messages wait for room in the inbox.
        case decoded(wantsInput: Bool, isHeldBack: Bool)
        /// What was delivered has filled the inbox.
        case inboxIsFull
        /// The inbox has called.
        case inboxHasRoom
        /// The link was found dead while nothing was read from it.
        case linkDied
        /// This side has closed the connection.
        case discard
        /// The link is gone.
        case linkClosed
    }

    private(set) var state = State.paused

    /// Goes to the next state.
    ///
    /// - Returns: whether the inbox is to be asked to call when it has room.
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

    /// Whether the link reports what arrives.
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

    /// Whether what arrives is dropped.
    var isDiscarding: Bool { state == .discarding }
}
