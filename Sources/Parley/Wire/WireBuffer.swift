/// Encoded bytes that wait to be written to a link, in order. Small pieces are copied together; large slices
/// are kept as they are.
///
/// A decoder of your own appends its frames here. Appending a large slice retains it instead of copying it.
public struct WireBuffer: Sendable {
    /// Slices of at least this many bytes are kept. Smaller ones are copied: a copy costs less than a segment
    /// of its own in the write.
    package static let keptSliceBytes = 32 * 1024

    /// The bytes before `tail`, in order.
    private(set) var segments: [ArraySlice<UInt8>] = []
    /// The last bytes: small pieces are copied here.
    private(set) var tail: [UInt8] = []
    /// The number of bytes in the buffer.
    public private(set) var count = 0

    /// An empty buffer.
    public init() {}

    /// A buffer that takes these bytes over.
    init(_ bytes: [UInt8]) {
        tail = bytes
        count = bytes.count
    }

    /// Whether the buffer holds no bytes.
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

    /// Appends a frame's header: one byte, and a number of four bytes, most significant first. One append
    /// costs less than two.
    mutating func append(_ byte: UInt8, bigEndian value: UInt32) {
        makeRoom(for: 5)
        func part(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: value >> shift) }
        withUnsafeBytes(of: (byte, part(24), part(16), part(8), part(0))) { tail.append(contentsOf: $0) }
        count &+= 5
    }

    /// Appends a frame: its header, and its content. One append costs less than two.
    mutating func append(_ byte: UInt8, bigEndian value: UInt32, _ content: Span<UInt8>) {
        makeRoom(for: 5 &+ content.count)
        tail.append(byte, bigEndian: value, content)
        count &+= 5 &+ content.count
    }

    /// Appends bytes in their order.
    public mutating func append(_ bytes: ArraySlice<UInt8>) { append(bytes, keptFrom: Self.keptSliceBytes) }

    /// Appends bytes in their order. Slices of at least `keptBytes` bytes are kept.
    mutating func append(_ bytes: ArraySlice<UInt8>, keptFrom keptBytes: Int) {
        if bytes.count < keptBytes {
            makeRoom(for: bytes.count)
            tail.append(contentsOf: bytes)
        } else {
            moveTailToSegments()
            segments.append(bytes)
        }
        count &+= bytes.count
    }

    /// Appends a copy of borrowed bytes.
    public mutating func append(_ bytes: Span<UInt8>) {
        makeRoom(for: bytes.count)
        bytes.bytes.withUnsafeBytes { tail.append(contentsOf: $0) }
        count &+= bytes.count
    }

    /// Appends bytes in their order.
    public mutating func append(_ bytes: [UInt8]) { append(bytes[...]) }

    /// A copy of all bytes in order, for tests and for links without scatter-gather writes.
    var contiguous: [UInt8] {
        guard !segments.isEmpty else { return tail.span.copied }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for segment in segments { bytes.append(contentsOf: segment) }
        bytes.append(contentsOf: tail)
        return bytes
    }

    /// Removes bytes from the front. The buffer must have no segments. One that is empty then keeps its
    /// allocation as ``removeAll(keeping:)`` does.
    mutating func removeFirst(_ bytes: Int, keeping kept: Int = idleBytes) {
        assert(segments.isEmpty, "bytes are removed from the tail only")
        guard bytes < tail.count else { return removeAll(keeping: kept) }
        tail.removeFirst(bytes)
        count &-= bytes
    }

    /// Empties the buffer. The tail keeps its allocation for the next message if that is at most `kept`
    /// bytes.
    mutating func removeAll(keeping kept: Int = idleBytes) {
        if !segments.isEmpty { segments.removeAll() }
        if tail.capacity <= kept {
            if !tail.isEmpty { tail.removeAll(keepingCapacity: true) }
        } else {
            tail = []
        }
        count = 0
    }

    /// How many bytes the tail can hold without an allocation.
    var capacity: Int { tail.capacity }

    /// The largest allocation that an idle peer keeps.
    static let idleBytes = 256
    /// The largest allocation that a loop keeps. It keeps two: one for what it writes now, one for its
    /// busiest sender.
    static let busyBytes = 4 << 20

    /// Whether its allocation is larger than an idle peer may keep.
    var isLarge: Bool { capacity > Self.idleBytes }

    /// Grows the tail by a factor of 16 up to 64 KiB, since each step copies all of it; above that by
    /// doubling, as arrays do.
    @inline(__always)
    private mutating func makeRoom(for bytes: Int) {
        let capacity = tail.capacity
        guard tail.count &+ bytes > capacity, capacity < Self.fastGrowthBytes else { return }
        tail.reserveCapacity(max(tail.count &+ bytes, min(capacity &* 16, Self.fastGrowthBytes)))
    }

    private static let fastGrowthBytes = 64 * 1024

    private mutating func moveTailToSegments() {
        guard !tail.isEmpty else { return }
        segments.append(tail[...])
        tail = []
    }
}

extension [UInt8] {
    /// Appends a copy of borrowed bytes.
    package mutating func append(copying new: Span<UInt8>) {
        new.bytes.withUnsafeBytes { append(contentsOf: $0) }
    }
}

extension Span<UInt8> {
    /// A copy of the bytes.
    var copied: [UInt8] { bytes.withUnsafeBytes { [UInt8]($0) } }
}
