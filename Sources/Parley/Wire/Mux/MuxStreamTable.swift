/// The streams of a session: places in an array, found by id, and the circle of those that have something to
/// send. An idle stream takes its place and an entry of the index.
struct MuxStreamTable: Sendable {
    /// The places. A free one has the id zero, and `next` links it to the next free one.
    private(set) var slots: [MuxStream] = []
    private var index: [UInt32: UInt32] = [:]
    private var firstFree: UInt32?
    /// The stream whose turn to send is next; nil when none has anything to send.
    private(set) var firstSender: UInt32?

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

    // MARK: The circle

    /// Adds a stream at the end of the circle, unless it is in it.
    mutating func startSending(_ slot: UInt32) {
        guard !self[slot].marks.contains(.isSending) else { return }
        self[slot].marks.insert(.isSending)
        guard let first = firstSender else {
            self[slot].next = slot
            self[slot].previous = slot
            firstSender = slot
            return
        }
        let last = self[first].previous
        self[slot].next = first
        self[slot].previous = last
        self[last].next = slot
        self[first].previous = slot
    }

    /// Removes a stream from the circle, if it is in it.
    mutating func stopSending(_ slot: UInt32) {
        guard self[slot].marks.contains(.isSending) else { return }
        self[slot].marks.remove(.isSending)
        let (next, previous) = (self[slot].next, self[slot].previous)
        self[previous].next = next
        self[next].previous = previous
        if firstSender == slot { firstSender = next == slot ? nil : next }
    }

    /// Ends the turn of the first stream: it is the last one now.
    mutating func passTurn() {
        if let first = firstSender { firstSender = self[first].next }
    }

    /// Whether no other stream than the first has something to send.
    var hasOneSender: Bool { firstSender.map { self[$0].next == $0 } ?? false }
}

/// Control frames that wait to be written, in order.
struct MuxControlQueue: Sendable {
    enum Frame: Sendable, Equatable {
        case reset(UInt32, code: UInt32)
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
    }

    private var frames: [Frame] = []
    private var head = 0

    var count: Int { frames.count - head }
    var isEmpty: Bool { count == 0 }

    /// Whether nothing but pings and their answers wait.
    var isOnlyPings: Bool { pings == count }

    private var pings = 0

    mutating func append(_ frame: Frame) {
        if frame.isPing { pings += 1 }
        frames.append(frame)
    }

    mutating func popFirst() -> Frame? {
        guard head < frames.count else { return nil }
        let frame = frames[head]
        head += 1
        if frame.isPing { pings -= 1 }
        if head == frames.count {
            frames.empty(keeping: Self.keptFrames)
            head = 0
        } else if head >= Self.keptFrames, head * 2 >= frames.count {
            frames.removeFirst(head)
            head = 0
        }
        return frame
    }

    mutating func removeAll() { self = MuxControlQueue() }

    private static let keptFrames = 16
}
