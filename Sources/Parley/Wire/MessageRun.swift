/// Messages that lie one behind the other in one block of bytes: usually what one read brought. Or one stream's opening.
///
/// The messages share the block, so a thousand small ones cost one object and a list of bounds, not a thousand.
@usableFromInline
package struct MessageRun: Sendable {
    @usableFromInline package let block: ArraySlice<UInt8>
    /// Where the block begins among its array's indices.
    @usableFromInline let base: Int
    /// Where the first message lies, counted from there: a single one, as in a conversation, needs no list.
    @usableFromInline let first: Range<Int>
    @usableFromInline let others: [Range<Int>]
    /// The bytes of all messages.
    package let payloadBytes: Int
    /// Whether this is a stream's opening, with its header as the only message.
    @usableFromInline package let isStream: Bool

    /// One message, or one stream's opening.
    init(_ payload: ArraySlice<UInt8>, isStream: Bool) {
        block = payload
        base = payload.startIndex
        first = 0..<payload.count
        others = []
        payloadBytes = payload.count
        self.isStream = isStream
    }

    /// Messages in one block, of which `found` says how they lie; nil when there are none, or they are outside it.
    init?(_ found: borrowing [Range<Int>], in block: ArraySlice<UInt8>) {
        guard let first = found.first, let bytes = Self.payloadBytes(found, in: block.count) else {
            return nil
        }
        self.block = block
        base = block.startIndex
        self.first = first
        others = found.count == 1 ? [] : Array(found[1...])
        payloadBytes = bytes
        isStream = false
    }

    /// How many bytes the messages have that a decoder found in `count` bytes; nil when some are outside.
    static func payloadBytes(_ found: borrowing [Range<Int>], in count: Int) -> Int? {
        var bytes = 0
        for index in found.indices {
            guard found[index].lowerBound >= 0, found[index].upperBound <= count else { return nil }
            bytes &+= found[index].count
        }
        return bytes
    }

    /// How many messages there are.
    @inlinable
    package var count: Int { others.count &+ 1 }

    /// Where a message lies, counted from the block's beginning.
    @inlinable
    package func bounds(at index: Int) -> Range<Int> { index == 0 ? first : others[index &- 1] }

    /// One of the messages.
    @inlinable
    package subscript(index: Int) -> ArraySlice<UInt8> {
        let bounds = bounds(at: index)
        return block[base &+ bounds.lowerBound..<base &+ bounds.upperBound]
    }
}

/// What a decoding brought, in order; with space that the next one uses again.
struct DecodedRuns: Sendable {
    private(set) var runs: [MessageRun] = []
    /// How many messages and streams' openings there are in all.
    private(set) var count = 0
    /// How many bytes of payload those have.
    private(set) var payloadBytes = 0
    /// Where a decoder leaves the bounds that it finds; empty in between.
    var found: [Range<Int>] = []

    var isEmpty: Bool { runs.isEmpty }

    mutating func append(_ payload: ArraySlice<UInt8>, isStream: Bool) {
        runs.append(MessageRun(payload, isStream: isStream))
        count &+= 1
        payloadBytes &+= payload.count
    }

    /// Makes a run of what a decoder has found in `block`; false when that is not inside it.
    mutating func appendFound(in block: ArraySlice<UInt8>) -> Bool {
        guard let run = MessageRun(found, in: block) else { return false }
        runs.append(run)
        count &+= run.count
        payloadBytes &+= run.payloadBytes
        found.removeAll(keepingCapacity: true)
        return true
    }

    mutating func removeAll() {
        if found.count == 1 {
            found.removeLast()
        } else if !found.isEmpty {
            found.removeAll(keepingCapacity: found.capacity <= 16_384)
        }
        if !runs.isEmpty { runs.removeAll(keepingCapacity: runs.capacity <= 4_096) }
        count = 0
        payloadBytes = 0
    }
}
