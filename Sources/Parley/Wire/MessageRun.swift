/// Messages that lie one behind the other in one block of bytes: usually what one read brought. Or one stream's opening.
///
/// The messages share the block, so a thousand small ones cost one object and a list of bounds, not a thousand.
@usableFromInline
package struct MessageRun: Sendable {
    @usableFromInline package let block: ArraySlice<UInt8>
    /// Where the first message lies, as indices of the block: a single one, as in a conversation, needs no list.
    @usableFromInline let first: Range<Int>
    @usableFromInline let others: [Range<Int>]
    /// The bytes of all messages.
    package let payloadBytes: Int
    /// Whether this is a stream's opening, with its header as the only message.
    @usableFromInline package let isStream: Bool

    /// One message, or one stream's opening.
    init(_ payload: ArraySlice<UInt8>, isStream: Bool) {
        block = payload
        first = payload.indices
        others = []
        payloadBytes = payload.count
        self.isStream = isStream
    }

    /// Messages in one block; nil when there are none, or they are not inside the block.
    init?(_ bounds: borrowing [Range<Int>], in block: ArraySlice<UInt8>) {
        var bytes = 0
        for index in bounds.indices {
            guard bounds[index].lowerBound >= block.startIndex, bounds[index].upperBound <= block.endIndex
            else {
                return nil
            }
            bytes &+= bounds[index].count
        }
        guard let first = bounds.first else { return nil }
        self.block = block
        self.first = first
        others = bounds.count == 1 ? [] : Array(bounds[1...])
        payloadBytes = bytes
        isStream = false
    }

    /// How many messages there are.
    @inlinable
    package var count: Int { others.count &+ 1 }

    @inlinable
    package func bounds(at index: Int) -> Range<Int> { index == 0 ? first : others[index &- 1] }

    /// One of the messages.
    @inlinable
    package subscript(index: Int) -> ArraySlice<UInt8> { block[bounds(at: index)] }
}

/// What a decoding brought, in order; with space that the next one uses again.
struct DecodedRuns: Sendable {
    private(set) var runs: [MessageRun] = []
    /// How many messages and streams' openings there are in all.
    private(set) var count = 0
    /// Where a decoder leaves the bounds that it finds; empty in between.
    var found: [Range<Int>] = []

    var isEmpty: Bool { runs.isEmpty }

    mutating func append(_ payload: ArraySlice<UInt8>, isStream: Bool) {
        runs.append(MessageRun(payload, isStream: isStream))
        count &+= 1
    }

    /// Makes a run of what a decoder has found in `block`; false when that is not inside it.
    mutating func appendFound(in block: ArraySlice<UInt8>) -> Bool {
        guard let run = MessageRun(found, in: block) else { return false }
        runs.append(run)
        count &+= run.count
        found.removeAll(keepingCapacity: true)
        return true
    }

    mutating func removeAll() {
        runs.removeAll(keepingCapacity: runs.capacity <= 4_096)
        count = 0
    }
}
