/// Bytes that are copied together: appended at the end, and removed at the front without moving the rest.
///
/// An array could do the same. Its appends, and above all its way to become empty, cost more than copying a
/// short message; every message pays for both.
///
/// `@unchecked Sendable`: copies share the allocation, and only the one that has it alone writes to it.
struct PackedBytes: @unchecked Sendable {
    /// The allocation; its header is the capacity. Only the bytes from `lower` to `upper` mean something.
    private var storage: ManagedBuffer<Int, UInt8>?
    private var lower = 0
    private var upper = 0

    /// No bytes, and no allocation.
    init() {}

    /// The number of bytes.
    var count: Int { upper &- lower }

    var isEmpty: Bool { lower == upper }

    /// How many bytes fit into the allocation. Read by pointer: an access to `header` is checked at run time.
    @inline(__always)
    var capacity: Int { storage?.withUnsafeMutablePointerToHeader { $0.pointee } ?? 0 }

    // MARK: Changing

    /// Appends `bytes` bytes, at least 1, which `write` initializes.
    @inline(__always)
    mutating func append(_ bytes: Int, _ write: (UnsafeMutableRawPointer) -> Void) {
        if capacity &- upper < bytes || !isKnownUniquelyReferenced(&storage) { makeRoom(for: bytes) }
        storage.unsafelyUnwrapped.withUnsafeMutablePointerToElements {
            write(UnsafeMutableRawPointer($0 + upper))
        }
        upper &+= bytes
    }

    /// Appends a copy of borrowed bytes.
    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        append(bytes.count) { $0.copyMemory(from: start, byteCount: bytes.count) }
    }

    /// Appends one byte.
    mutating func append(_ byte: UInt8) { append(1) { $0.storeBytes(of: byte, as: UInt8.self) } }

    /// Appends four bytes, most significant first.
    mutating func append(bigEndian value: UInt32) {
        append(4) { $0.storeBytes(of: value.bigEndian, as: UInt32.self) }
    }

    /// Appends a byte, a number of four bytes, most significant first, and bytes. One append costs less than
    /// three.
    @inline(__always)
    mutating func append(_ byte: UInt8, bigEndian value: UInt32, _ content: Span<UInt8>) {
        content.withUnsafeBytes { content in
            append(5 &+ content.count) { place in
                place.storeBytes(of: byte, as: UInt8.self)
                place.storeBytes(of: value.bigEndian, toByteOffset: 1, as: UInt32.self)
                guard let start = content.baseAddress else { return }
                (place + 5).copyMemory(from: start, byteCount: content.count)
            }
        }
    }

    /// Removes bytes at the front, at most all of them.
    @inline(__always)
    mutating func removeFirst(_ bytes: Int) {
        assert(bytes <= count, "more bytes are removed than there are")
        lower &+= bytes
    }

    /// Removes all bytes. The allocation is kept if it is at most `kept` bytes.
    @inline(__always)
    mutating func removeAll(keeping kept: Int) {
        if capacity > kept { storage = nil }
        (lower, upper) = (0, 0)
    }

    // MARK: Reading

    /// Calls `body` with the bytes, which are borrowed for the call.
    @inline(__always)
    func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // Not `if let`: that retains it.
        if storage == nil { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return try storage.unsafelyUnwrapped.withUnsafeMutablePointerToElements { (start) throws(Failure) in
            try body(UnsafeRawBufferPointer(start: start + lower, count: count))
        }
    }

    /// The same, as bytes that cannot outlive the call.
    @inline(__always)
    func withSpan<Failure: Error>(_ body: (Span<UInt8>) throws(Failure) -> Void) throws(Failure) {
        try withBytes { (bytes) throws(Failure) in try body(bytes.bindMemory(to: UInt8.self).span) }
    }

    /// A copy of the bytes.
    var copied: [UInt8] { withBytes { [UInt8]($0) } }

    // MARK: Growing

    /// Makes an allocation for all bytes and `bytes` more, unless this one serves.
    ///
    /// It grows by a factor of 16 up to 64 KiB, since each step copies all of it; above that by doubling. The
    /// rest moves to the front instead when that frees half of the allocation.
    @inline(never)
    private mutating func makeRoom(for bytes: Int) {
        let needed = count &+ bytes
        if lower >= capacity / 2, needed <= capacity, isKnownUniquelyReferenced(&storage) {
            return move(to: storage.unsafelyUnwrapped)
        }
        // An allocation that is full grows. One that is shared is left to the others.
        let grown =
            capacity < Self.fastGrowthBytes ? min(capacity &* 16, Self.fastGrowthBytes) : capacity &* 2
        let isFull = capacity &- upper < bytes
        move(to: Self.allocate(max(needed, isFull ? grown : capacity)))
    }

    /// Moves the bytes to the start of an allocation, which may be this one.
    private mutating func move(to place: ManagedBuffer<Int, UInt8>) {
        withBytes { bytes in
            guard let start = bytes.baseAddress, bytes.count > 0 else { return }
            place.withUnsafeMutablePointerToElements {
                UnsafeMutableRawPointer($0).copyMemory(from: start, byteCount: bytes.count)
            }
        }
        storage = place
        (lower, upper) = (0, count)
    }

    private static func allocate(_ bytes: Int) -> ManagedBuffer<Int, UInt8> {
        .create(minimumCapacity: bytes) { $0.capacity }
    }

    private static let fastGrowthBytes = 64 * 1024
}
