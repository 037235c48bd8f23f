/// The streams of a session: places in an array, found by id, and two circles of those that have something to
/// send. An idle stream takes its place and an entry of the index.
struct MuxStreamTable: Sendable {
    /// The places. A free one has the id zero, and `next` links it to the next free one.
    private(set) var slots: [MuxStream] = []
    private var index: [UInt32: UInt32] = [:]
    private var firstFree: UInt32?
    /// The stream whose turn is next among those that say little, and among the others; nil when there are
    /// none.
    private(set) var firstAhead: UInt32?
    private(set) var firstFull: UInt32?

    var count: Int { index.count }

    /// An array of places that is larger is given back when the last stream goes.
    private static let keptSlots = 64

    subscript(slot: UInt32) -> MuxStream {
        // No copy, which would retain and release what waits to be sent.
        _read { yield slots[Int(slot)] }
        _modify { yield &slots[Int(slot)] }
    }

    /// The names of all streams.
    var ids: [MuxStreamID] { index.map { MuxStreamID(id: $0.key, slot: $0.value) } }

    func slot(of id: UInt32) -> UInt32? { index[id] }

    /// Whether the named stream still exists.
    func contains(_ name: MuxStreamID) -> Bool {
        Int(name.slot) < slots.count && slots[Int(name.slot)].id == name.id
    }

    mutating func insert(_ stream: MuxStream) -> MuxStreamID {
        let slot: UInt32
        if let free = firstFree {
            slot = free
            // The last free place links to itself.
            firstFree = self[free].next == free ? nil : self[free].next
            self[free] = stream
        } else {
            slot = UInt32(slots.count)
            slots.append(stream)
        }
        index[stream.id] = slot
        return MuxStreamID(id: stream.id, slot: slot)
    }

    mutating func remove(_ slot: UInt32) {
        stopSending(slot)
        index[self[slot].id] = nil
        if index.isEmpty, slots.capacity > Self.keptSlots {
            self = MuxStreamTable()
            return
        }
        var free = MuxStream(id: 0, opening: .acknowledged, at: 0)
        free.next = firstFree ?? slot
        self[slot] = free
        firstFree = slot
    }

    // MARK: The circles

    /// Whether a stream has something to send.
    var hasSenders: Bool { firstAhead != nil || firstFull != nil }

    /// Whether no other stream of its circle has something to send.
    func isAlone(_ slot: UInt32) -> Bool { self[slot].next == slot }

    /// Adds a stream at the end of its circle, unless it is in one.
    mutating func startSending(_ slot: UInt32) {
        guard !self[slot].marks.contains(.isSending) else { return }
        self[slot].marks.insert(.isSending)
        if self[slot].saysLittle { self[slot].marks.insert(.isAhead) }
        guard let first = first(beside: slot) else {
            self[slot].next = slot
            self[slot].previous = slot
            setFirst(slot, beside: slot)
            return
        }
        let last = self[first].previous
        self[slot].next = first
        self[slot].previous = last
        self[last].next = slot
        self[first].previous = slot
    }

    /// Removes a stream from its circle, if it is in one.
    mutating func stopSending(_ slot: UInt32) {
        guard self[slot].marks.contains(.isSending) else { return }
        let (next, previous) = (self[slot].next, self[slot].previous)
        self[previous].next = next
        self[next].previous = previous
        if first(beside: slot) == slot { setFirst(next == slot ? nil : next, beside: slot) }
        self[slot].marks.subtract([.isSending, .isAhead])
    }

    /// Ends the turn of a stream that has more to send: it is the last one of its circle now, which may be
    /// another one than before.
    mutating func passTurn(of slot: UInt32) {
        stopSending(slot)
        startSending(slot)
    }

    private func first(beside slot: UInt32) -> UInt32? {
        self[slot].marks.contains(.isAhead) ? firstAhead : firstFull
    }

    private mutating func setFirst(_ first: UInt32?, beside slot: UInt32) {
        if self[slot].marks.contains(.isAhead) { firstAhead = first } else { firstFull = first }
    }
}

/// Control frames that wait to be written, in order.
struct MuxControlQueue: Sendable {
    enum Frame: Sendable, Equatable {
        /// `isOwn`: this side has opened the stream.
        case reset(UInt32, code: UInt32, isOwn: Bool)
        /// The window update or acknowledgement of a stream: what it owes when the frame is written.
        case update(MuxStreamID)
        case pong(UInt32)
        case ping(UInt32)

        /// Whether it is a ping or the answer to one.
        var isPing: Bool {
            switch self {
            case .ping, .pong: true
            case .reset, .update: false
            }
        }

        /// Whether the other side makes as many of them as it likes, since it opens the streams.
        var isRefusal: Bool { if case .reset(_, _, isOwn: false) = self { true } else { false } }
    }

    private var frames = Line<Frame>(keeping: 16)

    var count: Int { frames.count }
    var isEmpty: Bool { frames.isEmpty }

    /// Whether nothing but pings and their answers wait.
    var isOnlyPings: Bool { pings == count }

    private var pings = 0
    /// How many resets of the other side's streams wait.
    private(set) var refusals = 0

    mutating func append(_ frame: Frame) {
        if frame.isPing { pings += 1 }
        if frame.isRefusal { refusals += 1 }
        frames.append(frame)
    }

    mutating func popFirst() -> Frame? {
        guard let frame = frames.popFirst() else { return nil }
        if frame.isPing { pings -= 1 }
        if frame.isRefusal { refusals -= 1 }
        return frame
    }

    mutating func removeAll() { self = MuxControlQueue() }
}
