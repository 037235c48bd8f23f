/// A stream's name within its session: its id on the wire, and its place in the table. Ids are never used
/// twice, places are: a name outlives its stream harmlessly.
struct MuxStreamID: Sendable, Hashable {
    /// The id on the wire.
    let id: UInt32
    /// The place. The shell may keep an array of its own by place, instead of a dictionary.
    let slot: UInt32
}

/// The state of one stream, without its received bytes, which are the shell's.
struct MuxStream: Sendable {
    /// What waits to be sent.
    var unsent = ByteQueue()
    /// When the last two window updates were due, in microseconds, of which the low 32 bits suffice.
    var updatedAt: UInt32
    var formerlyUpdatedAt: UInt32
    /// Zero for a place without a stream.
    var id: UInt32
    /// How many more bytes the other side takes.
    var sendWindow = YamuxHeader.initialWindowBytes
    /// How many more bytes the other side may send.
    var receiveWindow = YamuxHeader.initialWindowBytes
    /// What the receive window is filled up to again: no more than this is in flight and unread together.
    var windowBytes = YamuxHeader.initialWindowBytes
    /// Received bytes that the shell has not reported as consumed.
    var unconsumed: UInt32 = 0
    /// The neighbours in the circle of streams that have something to send, or the next free place.
    var next: UInt32 = 0
    var previous: UInt32 = 0
    var state = State.open
    var opening: Opening
    var marks: Marks = []

    init(id: UInt32, opening: Opening, at now: UInt64) {
        self.id = id
        self.opening = opening
        updatedAt = UInt32(truncatingIfNeeded: now / 1_000)
        formerlyUpdatedAt = updatedAt
    }

    /// Who knows of the stream.
    enum Opening: UInt8, Sendable {
        /// This side has opened it; the frame that says so is not written yet.
        case synOwed
        /// The other side has not acknowledged it.
        case synSent
        /// The other side has opened it; this side has not acknowledged it.
        case ackOwed
        case acknowledged
    }

    struct Marks: OptionSet, Sendable {
        let rawValue: UInt8

        /// In a circle of streams that have something to send.
        static let isSending = Marks(rawValue: 1)
        /// A window update, or an acknowledgement, is among the control frames.
        static let isUpdateQueued = Marks(rawValue: 2)
        /// A write was accepted in part or not at all.
        static let wantsRoom = Marks(rawValue: 4)
        /// Opened by this side.
        static let isOwn = Marks(rawValue: 8)
        /// Its last frame did not carry all that waited to be sent.
        static let isCut = Marks(rawValue: 16)
        /// In the circle of those that go ahead of full streams.
        static let isAhead = Marks(rawValue: 32)
    }

    /// The two directions.
    ///
    /// | state | this side | the other side |
    /// |---|---|---|
    /// | `open` | sends | sends |
    /// | `finishing` | will send FIN behind what waits | sends |
    /// | `finished` | has sent FIN | sends |
    /// | `remoteFinished` | sends | has sent FIN |
    /// | `finishingLast` | will send FIN behind what waits | has sent FIN, or is not heard any more |
    /// | `discarding` | will send FIN behind what waits | has no reader any more |
    /// | `discarded` | has sent FIN | has no reader any more |
    /// | `over` | is done | is done; received bytes may still be unread |
    enum State: UInt8, Sendable, CaseIterable {
        case open
        case finishing
        case finished
        case remoteFinished
        case finishingLast
        case discarding
        case discarded
        case over
    }

    enum Event: Sendable, CaseIterable {
        /// This side sends no more.
        case finish
        /// This side sends no more and reads no more.
        case close
        /// Everything that waited is written, and FIN too.
        case finSent
        /// Data has arrived.
        case data
        /// FIN has arrived.
        case remoteFinished
        /// A reset has arrived, or is sent.
        case reset
    }

    /// What follows from an event.
    struct Actions: OptionSet, Sendable {
        let rawValue: UInt8

        /// The data is the reader's.
        static let deliver = Actions(rawValue: 1)
        /// The reader gets the end.
        static let tellFinished = Actions(rawValue: 2)
    }

    /// Applies an event. Returns what follows.
    mutating func apply(_ event: Event) -> Actions {
        let (next, actions) = Self.transition(state, event)
        if let next { state = next }
        return actions
    }

    /// The next state, nil when it does not change, and the actions.
    private static func transition(_ state: State, _ event: Event) -> (State?, Actions) {
        switch (state, event) {
        // MARK: This side ends
        case (.open, .finish): return (.finishing, [])
        case (.remoteFinished, .finish), (.remoteFinished, .close): return (.finishingLast, [])
        case (.open, .close), (.finishing, .close): return (.discarding, [])
        case (.finished, .close): return (.discarded, [])
        case (.finishing, .finSent): return (.finished, [])
        case (.finishingLast, .finSent): return (.over, [])
        case (.discarding, .finSent): return (.discarded, [])

        // MARK: Data
        case (.open, .data), (.finishing, .data), (.finished, .data): return (nil, [.deliver])
        // Nobody reads it. Behind FIN it can come from Go, where a write and a close may overtake each other.
        case (.discarding, .data), (.discarded, .data), (.remoteFinished, .data), (.finishingLast, .data):
            return (nil, [])

        // MARK: The other side ends
        case (.open, .remoteFinished): return (.remoteFinished, [.tellFinished])
        case (.finishing, .remoteFinished): return (.finishingLast, [.tellFinished])
        case (.finished, .remoteFinished): return (.over, [.tellFinished])
        case (.discarding, .remoteFinished): return (.finishingLast, [])
        case (.discarded, .remoteFinished): return (.over, [])
        // One FIN is enough. Some implementations send another after each window update.
        case (.remoteFinished, .remoteFinished), (.finishingLast, .remoteFinished): return (nil, [])

        // MARK: Both end at once
        case (.over, .reset): return (nil, [])
        case (_, .reset): return (.over, [])

        // MARK: Events that change nothing
        case (.over, .data), (.over, .remoteFinished): return (nil, [])
        case (_, .finish), (_, .close): return (nil, [])
        case (.open, .finSent), (.finished, .finSent), (.remoteFinished, .finSent),
            (.discarded, .finSent), (.over, .finSent):
            return (nil, [])
        }
    }
}

// MARK: - What follows from the state

extension MuxStream {
    /// Whether writes are accepted.
    var isWritable: Bool { state == .open || state == .remoteFinished }

    /// Whether what arrives goes to a reader.
    var isReadable: Bool {
        switch state {
        case .open, .finishing, .finished: true
        case .remoteFinished, .finishingLast, .discarding, .discarded, .over: false
        }
    }

    /// Whether this side is done with it, except for what waits to be sent.
    var isClosed: Bool {
        switch state {
        case .discarding, .discarded, .over: true
        case .open, .finishing, .finished, .remoteFinished, .finishingLast: false
        }
    }

    /// Whether the other side may still send.
    var awaitsInput: Bool {
        switch state {
        case .open, .finishing, .finished, .discarding, .discarded: true
        case .remoteFinished, .finishingLast, .over: false
        }
    }

    /// Whether FIN follows what waits to be sent.
    var owesFin: Bool {
        switch state {
        case .finishing, .finishingLast, .discarding: true
        case .open, .finished, .remoteFinished, .discarded, .over: false
        }
    }

    /// Whether a frame other than a window update can be sent now.
    var canSend: Bool {
        guard state != .over else { return false }
        return unsent.isEmpty ? opening == .synOwed || owesFin : sendWindow > 0 || opening == .synOwed
    }

    /// Whether it goes ahead of full streams. When it is opened it does, whatever is written then, so that
    /// the other side sees the ids in their order.
    var saysLittle: Bool { unsent.count <= MuxSession.littleBytes && !marks.contains(.isCut) }

    /// Bytes that may arrive, or have arrived and are not consumed.
    var grantedBytes: Int { Int(isReadable ? windowBytes : unconsumed) }

    /// The part of the window beyond what every stream has.
    var grownBytes: Int { isReadable ? Int(windowBytes &- YamuxHeader.initialWindowBytes) : 0 }

    /// What the window can be filled up by: consumed, and not granted again.
    var owedWindow: UInt32 { windowBytes &- receiveWindow &- unconsumed }

    /// Whether the other side has to learn of its window, and does not yet.
    var isUpdateDue: Bool {
        isReadable && owedWindow >= windowBytes / 2 && !marks.contains(.isUpdateQueued)
    }

    /// Whether only a reset can tell the other side that nobody reads what it sends: it waits for more window
    /// of a stream that this side has closed.
    var isClosedAndFull: Bool { state == .discarded && receiveWindow == 0 }
}
