/// Encoded bytes that wait to be written to a link, in order. Small pieces are copied together; large slices
/// are kept as they are.
///
/// A decoder of your own appends its frames here. Appending a large slice retains it instead of copying it.
public struct WireBuffer: Sendable {
    /// Slices of at least this many bytes are kept. Smaller ones are copied: a copy costs less than a segment
    /// of its own in the write.
    @inlinable package static var keptSliceBytes: Int { 32 * 1024 }

    /// The bytes before `tail`, in order.
    private(set) var segments: [ArraySlice<UInt8>] = []
    /// The number of bytes in `segments`.
    private var segmentBytes = 0
    /// The last bytes: small pieces are copied here.
    private(set) var tail = PackedBytes()

    /// An empty buffer.
    public init() {}

    /// A buffer that takes these bytes over.
    init(_ bytes: [UInt8]) {
        if !bytes.isEmpty { keep(bytes[...]) }
    }

    /// The number of bytes in the buffer.
    public var count: Int { segmentBytes &+ tail.count }

    /// Whether the buffer holds no bytes.
    public var isEmpty: Bool { count == 0 }

    /// Appends one byte.
    public mutating func append(_ byte: UInt8) { tail.append(byte) }

    /// Appends four bytes, most significant first.
    public mutating func append(bigEndian value: UInt32) { tail.append(bigEndian: value) }

    /// Appends a frame's header: one byte, and a number of four bytes, most significant first.
    mutating func append(_ byte: UInt8, bigEndian value: UInt32) {
        tail.append(byte, bigEndian: value, Span())
    }

    /// Appends a frame: its header, and its content. One append costs less than two.
    @inline(__always)
    mutating func append(_ byte: UInt8, bigEndian value: UInt32, _ content: Span<UInt8>) {
        tail.append(byte, bigEndian: value, content)
    }

    /// Appends bytes in their order.
    public mutating func append(_ bytes: ArraySlice<UInt8>) { append(bytes, keptFrom: Self.keptSliceBytes) }

    /// Appends bytes in their order. Slices of at least `keptBytes` bytes are kept.
    mutating func append(_ bytes: ArraySlice<UInt8>, keptFrom keptBytes: Int) {
        if bytes.count < keptBytes {
            bytes.withUnsafeBytes { tail.append($0) }
        } else {
            keep(bytes)
        }
    }

    /// Appends a slice without a copy.
    private mutating func keep(_ bytes: ArraySlice<UInt8>) {
        if !tail.isEmpty {
            segments.append(tail.copied[...])
            segmentBytes &+= tail.count
            tail.removeAll(keeping: Self.idleBytes)
        }
        segments.append(bytes)
        segmentBytes &+= bytes.count
    }

    /// Appends a copy of borrowed bytes.
    public mutating func append(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBytes { tail.append($0) }
    }

    /// Appends bytes in their order.
    public mutating func append(_ bytes: [UInt8]) { append(bytes[...]) }

    /// A copy of all bytes in order, for tests and for links without scatter-gather writes.
    var contiguous: [UInt8] {
        guard !segments.isEmpty else { return tail.copied }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for segment in segments { bytes.append(contentsOf: segment) }
        tail.withBytes { bytes.append(contentsOf: $0) }
        return bytes
    }

    /// Removes bytes from the front. The buffer must have no segments. One that is empty then keeps its
    /// allocation as ``removeAll(keeping:)`` does.
    @inline(__always)
    mutating func removeFirst(_ bytes: Int, keeping kept: Int = idleBytes) {
        assert(segments.isEmpty, "bytes are removed from the tail only")
        tail.removeFirst(bytes)
        if tail.isEmpty { tail.removeAll(keeping: kept) }
    }

    /// Empties the buffer. The tail keeps its allocation for the next message if that is at most `kept`
    /// bytes.
    @inline(__always)
    mutating func removeAll(keeping kept: Int = idleBytes) {
        if !segments.isEmpty {
            segments = []
            segmentBytes = 0
        }
        tail.removeAll(keeping: kept)
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
