extension ArraySlice<UInt8> {
    /// The same bytes, in memory of their own when they are few and a part of a much larger block. The end of
    /// a slice tells how large its array is at least.
    var detached: ArraySlice<UInt8> {
        count < ByteQueue.shortBytes && endIndex / 2 > count ? Array(self)[...] : self
    }
}

/// Received bytes that wait for the decoder or a reader: in order, as the blocks in which they were read.
struct ByteQueue: Sendable {
    private var blocks: [ArraySlice<UInt8>] = []
    private var head = 0
    /// The number of bytes in the queue.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// The approximate memory use in bytes. It counts each block's overhead, so that a peer that sends single
    /// bytes is charged for what they cost.
    var footprint: Int { count &+ blockCount &* Self.blockOverheadBytes }

    private static let blockOverheadBytes = 64

    /// The length of the array, including blocks that are taken, for tests.
    var placesHeld: Int { blocks.count }

    /// How many blocks it can hold without an allocation, for tests.
    var capacity: Int { blocks.capacity }

    /// The oldest block; empty when there is none.
    var front: ArraySlice<UInt8> { head < blocks.count ? blocks[head] : [] }

    mutating func append(_ block: ArraySlice<UInt8>) {
        guard !block.isEmpty else { return }
        blocks.append(block)
        count &+= block.count
    }

    /// Appends bytes so that they keep little more memory than their own. Short ones are copied behind the
    /// last ones; those of a much larger block are copied out of it.
    ///
    /// - Parameter keptBytes: how large the block is of which they are a part.
    mutating func append(_ bytes: ArraySlice<UInt8>, keeping keptBytes: Int) {
        guard bytes.count < Self.shortBytes || keptBytes / 2 > bytes.count else { return append(bytes) }
        guard !bytes.isEmpty else { return }
        if head < blocks.count, blocks[blocks.count &- 1].count < Self.mergedBytes {
            blocks[blocks.count &- 1].append(contentsOf: bytes)
            count &+= bytes.count
        } else {
            append(Array(bytes)[...])
        }
    }

    /// Appends bytes that may be taken soon: they are copied out of their block only if they are short.
    /// Otherwise ``copyOut(last:of:)`` follows.
    ///
    /// - Parameter blockBytes: how large the block is of which they are a part.
    /// - Returns: whether bytes that were not copied keep a block that is much larger.
    mutating func append(_ bytes: ArraySlice<UInt8>, lentBy blockBytes: Int) -> Bool {
        let isLent = bytes.count >= Self.shortBytes && blockBytes / 2 > bytes.count
        append(bytes, keeping: isLent ? bytes.count : blockBytes)
        return isLent
    }

    /// Copies the newest blocks out of the block that has lent them; as ``append(_:keeping:)``.
    ///
    /// - Parameter number: how many were appended. Those that were taken meanwhile do not matter.
    mutating func copyOut(last number: Int, of blockBytes: Int) {
        let kept = max(head, blocks.count &- number)
        let lent = Array(blocks[kept...])
        blocks.removeSubrange(kept...)
        for block in lent {
            count &-= block.count
            append(block, keeping: blockBytes)
        }
    }

    /// The number of blocks.
    var blockCount: Int { blocks.count &- head }

    /// Shorter bytes are copied.
    fileprivate static let shortBytes = 4_096
    /// A block of at least this many bytes gets no others behind it.
    private static let mergedBytes = 16 * 1024

    /// Puts bytes back at the front.
    mutating func prepend(_ block: ArraySlice<UInt8>) {
        guard !block.isEmpty else { return }
        if head > 0 {
            head &-= 1
            blocks[head] = block
        } else {
            blocks.insert(block, at: 0)
        }
        count &+= block.count
    }

    /// Takes the oldest block, whole.
    mutating func popFirst() -> ArraySlice<UInt8>? {
        guard head < blocks.count else { return nil }
        if blocks.count == 1, head == 0 {
            count = 0
            return blocks.removeLast()
        }
        let block = blocks[head]
        blocks[head] = []
        head &+= 1
        count &-= block.count
        if head == blocks.count {
            blocks.removeAll(keepingCapacity: blocks.count <= 4)
            head = 0
        } else if head >= 32, head &* 2 >= blocks.count {
            blocks.removeFirst(head)
            head = 0
        }
        return block
    }

    /// Takes the oldest bytes: at most `limit` (at least 1), and no more than the oldest block.
    mutating func popFirst(upTo limit: Int) -> ArraySlice<UInt8>? {
        guard let block = popFirst() else { return nil }
        guard block.count > limit else { return block }
        prepend(block.dropFirst(limit))
        return block.prefix(limit)
    }

    mutating func removeAll() { self = ByteQueue() }
}
