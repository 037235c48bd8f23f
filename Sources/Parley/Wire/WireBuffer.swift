/// Bytes on their way out: small pieces are gathered, large ones are kept as the slices they came in.
///
/// A decoder of your own appends its frames here. Appending a large slice retains it instead of copying it.
public struct WireBuffer: Sendable {
    /// Slices of at least this many bytes are kept rather than copied: below it a copy costs less than a
    /// segment of its own in the write.
    package static let keptSliceBytes = 32 * 1024

    /// What lies before `tail`, in order.
    private(set) var segments: [ArraySlice<UInt8>] = []
    /// Where small pieces gather.
    private(set) var tail: [UInt8] = []
    /// How many bytes are in here.
    public private(set) var count = 0

    /// An empty buffer.
    public init() {}

    /// Whether there is nothing in here.
    public var isEmpty: Bool { count == 0 }

    /// Appends one byte.
    public mutating func append(_ byte: UInt8) {
        makeRoom(for: 1)
        tail.append(byte)
        count &+= 1
    }

    /// Appends four bytes, most significant first.
    public mutating func append(bigEndian value: UInt32) {
        withUnsafeBytes(of: value.bigEndian) { tail.append(contentsOf: $0) }
        count &+= 4
    }

    /// Appends bytes in their order.
    public mutating func append(_ bytes: ArraySlice<UInt8>) {
        if bytes.count < Self.keptSliceBytes {
            makeRoom(for: bytes.count)
            tail.append(contentsOf: bytes)
        } else {
            sealTail()
            segments.append(bytes)
        }
        count &+= bytes.count
    }

    /// Appends a copy of bytes that are only lent.
    public mutating func append(_ bytes: Span<UInt8>) {
        makeRoom(for: bytes.count)
        bytes.bytes.withUnsafeBytes { tail.append(contentsOf: $0) }
        count &+= bytes.count
    }

    /// Appends bytes in their order.
    public mutating func append(_ bytes: [UInt8]) { append(bytes[...]) }

    /// A copy of everything in order, for tests and for links without scatter-gather writes.
    var contiguous: [UInt8] {
        segments.isEmpty ? tail.span.copied : Array(segments.joined()) + tail
    }

    /// Drops bytes from the front; there are no segments.
    mutating func removeFirst(_ bytes: Int) {
        assert(segments.isEmpty, "only gathered bytes can be dropped")
        guard bytes < tail.count else { return removeAll() }
        tail.removeFirst(bytes)
        count &-= bytes
    }

    /// Empties the buffer; a gathering space of at most so many bytes is kept for the next message.
    mutating func removeAll(keeping kept: Int = idleBytes) {
        if !segments.isEmpty { segments.removeAll() }
        if tail.capacity <= kept {
            if !tail.isEmpty { tail.removeAll(keepingCapacity: true) }
        } else {
            tail = []
        }
        count = 0
    }

    /// How many bytes can gather without an allocation.
    var capacity: Int { tail.capacity }

    /// An idle peer holds on to no more than this.
    private static let idleBytes = 256
    /// A loop keeps two of at most this: one for what it writes, and one for the peer that sends most.
    static let busyBytes = 4 << 20

    /// Whether it has more room than an idle peer is to hold on to.
    var isLarge: Bool { capacity > Self.idleBytes }

    /// Grows in few steps to what gathers behind a busy loop, since each step copies all of it; from there on by doubling,
    /// as arrays do.
    @inline(__always)
    private mutating func makeRoom(for bytes: Int) {
        let capacity = tail.capacity
        guard tail.count &+ bytes > capacity, capacity < Self.slabBytes else { return }
        tail.reserveCapacity(max(tail.count &+ bytes, min(capacity &* 16, Self.slabBytes)))
    }

    private static let slabBytes = 64 * 1024

    private mutating func sealTail() {
        guard !tail.isEmpty else { return }
        segments.append(tail[...])
        tail = []
    }
}

extension Span<UInt8> {
    /// The bytes as an array of their own.
    var copied: [UInt8] { bytes.withUnsafeBytes { [UInt8]($0) } }
}
