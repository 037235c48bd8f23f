/// Decoded messages on their way to the inbox: consecutive messages in one block of bytes, usually those of
/// one read; or the opening of one stream; or one request.
///
/// The messages share the block: a thousand small ones cost one object and a list of bounds.
@usableFromInline
package struct MessageRun: Sendable {
    @usableFromInline package let block: ArraySlice<UInt8>
    /// The bounds of the messages, relative to the block's beginning. Empty when the whole block is one
    /// message: that needs no array.
    @usableFromInline let bounds: [Range<Int>]
    /// The payload bytes of all messages.
    package let payloadBytes: Int
    /// What happened to the peer; nil for messages and streams.
    package let event: PeerEvent?
    @usableFromInline package let kind: Kind

    @usableFromInline
    package enum Kind: Sendable, Hashable {
        case messages
        /// A stream's opening. Its header is the only message. The number tells it from the other streams of
        /// its connection; zero is whichever is open.
        case stream(UInt32)
        /// A message that asks for an answer with this number. It is the only one.
        case request(UInt32)

        package var isStream: Bool { if case .stream = self { true } else { false } }
    }

    /// One message, one stream's opening, or one request.
    init(_ payload: ArraySlice<UInt8>, _ kind: Kind) {
        block = payload
        bounds = []
        payloadBytes = payload.count
        event = nil
        self.kind = kind
    }

    /// The messages of `block` whose bounds are `found`, at least one. They are inside the block, and have
    /// `payloadBytes` together.
    fileprivate init(
        _ found: borrowing [Range<Int>],
        in block: ArraySlice<UInt8>,
        payloadBytes: Int,
        _ kind: Kind = .messages
    ) {
        if found.count == 1 {
            self.block = block[place(found[0], in: block)]
            bounds = []
        } else {
            self.block = block
            // The next decoding pass fills `found` again.
            bounds = found.duplicate
        }
        self.payloadBytes = payloadBytes
        event = nil
        self.kind = kind
    }

    /// The sum of the lengths of `found`; nil when one is outside `0..<count`.
    static func payloadBytes(_ found: borrowing [Range<Int>], in count: Int) -> Int? {
        var bytes = 0
        // Negative when a bound is outside. The loop has no branches, so that the compiler can check several
        // bounds with one instruction.
        var signs = 0
        for index in found.indices {
            let (lower, upper) = (found[index].lowerBound, found[index].upperBound)
            signs |= lower | (count &- upper)
            bytes &+= upper &- lower
        }
        return signs < 0 ? nil : bytes
    }

    /// The number of messages.
    @inlinable
    package var count: Int { bounds.isEmpty ? 1 : bounds.count }

    /// The bounds of a message, relative to the block's beginning.
    @inlinable @inline(__always)
    package func bounds(at index: Int) -> Range<Int> { bounds.isEmpty ? 0..<block.count : bounds[index] }

    /// One of the messages.
    @inlinable
    package subscript(index: Int) -> ArraySlice<UInt8> {
        @inline(__always) get { bounds.isEmpty ? block : block[place(bounds[index], in: block)] }
    }
}

/// The indices in `block` of bounds that are relative to its beginning.
@inlinable @inline(__always)
func place(_ bounds: Range<Int>, in block: ArraySlice<UInt8>) -> Range<Int> {
    let start = block.startIndex
    return Range(uncheckedBounds: (start &+ bounds.lowerBound, start &+ bounds.upperBound))
}

/// What one decoding pass found, in order. The storage is reused by the next pass.
struct DecodedRuns: Sendable {
    private(set) var runs: [MessageRun] = []
    /// The number of messages, stream openings and requests.
    private(set) var count = 0
    /// How many of them are requests.
    private(set) var requests = 0
    /// How many of them are stream openings.
    private(set) var streams = 0
    /// The payload bytes of all of them.
    private(set) var payloadBytes = 0
    /// Answers to requests of this side. They do not go to the inbox and are not counted above.
    var answers: [RequestAnswer] = []
    /// The output buffer of ``Decoder/decodeMessages(_:limit:into:)``; empty between calls.
    var foundBounds: [Range<Int>] = []

    var isEmpty: Bool { count == 0 }

    mutating func append(_ payload: ArraySlice<UInt8>, _ kind: MessageRun.Kind) {
        runs.append(MessageRun(payload, kind))
        switch kind {
        case .messages: break
        case .stream: streams &+= 1
        case .request: requests &+= 1
        }
        count &+= 1
        payloadBytes &+= payload.count
    }

    /// How many messages and requests they are, with the answers.
    var messages: Int { count &- streams &+ answers.count }

    /// Numbers the stream whose opening is the last run.
    mutating func numberStream(_ number: UInt32) {
        guard let opening = runs.popLast() else { return }
        runs.append(MessageRun(opening.block, .stream(number)))
    }

    /// Appends the messages of ``foundBounds`` in `block` as a run; false when there are none, or when one is
    /// outside the block.
    mutating func appendFound(in block: ArraySlice<UInt8>) -> Bool {
        guard !foundBounds.isEmpty, let bytes = MessageRun.payloadBytes(foundBounds, in: block.count) else {
            return false
        }
        runs.append(MessageRun(foundBounds, in: block, payloadBytes: bytes))
        count &+= foundBounds.count
        payloadBytes &+= bytes
        foundBounds.empty(keeping: .max)
        return true
    }

    /// Copies the messages of the runs from `first` on to a smaller block when they keep a much larger one
    /// alive. A one-byte message among heartbeats must not keep a whole read alive.
    ///
    /// - Parameter keptBytes: how much of their block was decoded.
    @inline(__always)
    mutating func compact(from first: Int, payloadBytes: Int, keptBytes: Int) {
        guard keptBytes > 2 &* payloadBytes &+ Self.smallBlockBytes else { return }
        copyPayloads(from: first, payloadBytes)
    }

    /// The size up to which a block is not worth a copy.
    private static let smallBlockBytes = 1_024

    private mutating func copyPayloads(from first: Int, _ payloadBytes: Int) {
        guard first < runs.count else { return }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(payloadBytes)
        var bounds: [[Range<Int>]] = []
        for run in runs[first...] {
            let start = bytes.count
            bounds.append(
                (0..<run.count).map { index in
                    let lower = bytes.count &- start
                    bytes.append(contentsOf: run[index])
                    return lower..<bytes.count &- start
                }
            )
        }
        var start = 0
        for (index, bounds) in zip(first..., bounds) {
            let run = runs[index]
            let block = bytes[start..<start &+ run.payloadBytes]
            start &+= block.count
            runs[index] = MessageRun(bounds, in: block, payloadBytes: block.count, run.kind)
        }
    }

    /// Gives the runs away, the oldest first.
    @inline(__always)
    mutating func takeRuns(_ take: (consuming MessageRun) -> Void) {
        // Usually there is one run. It is moved, not copied.
        if runs.count == 1 { return take(runs.removeLast()) }
        for run in runs { take(run) }
        runs.empty(keeping: Self.keptRuns)
    }

    mutating func removeAll() {
        foundBounds.empty(keeping: Self.keptBounds)
        runs.empty(keeping: Self.keptRuns)
        count = 0
        requests = 0
        streams = 0
        payloadBytes = 0
        if !answers.isEmpty { answers = [] }
    }

    private static let keptRuns = 4_096
    static let keptBounds = 16_384
}
