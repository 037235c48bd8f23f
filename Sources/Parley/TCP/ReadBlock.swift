// Where the bytes of a stream and of a large frame are read to.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The memory for one read of a stream. The kernel writes into it, and the stream's reader gets it without a
/// copy.
struct ReadBlock {
    /// The most bytes of one read. A block that is at least half full is handed on; a smaller read is copied,
    /// since the reader is then faster than the sender and has time for a copy. So no kept block is less than
    /// half full.
    static let capacityBytes = 256 * 1024
    private static let keptBytes = capacityBytes / 2

    private(set) var bytes: [UInt8] = []

    var isEmpty: Bool { bytes.isEmpty }
    var isWorthKeeping: Bool { bytes.count >= Self.keptBytes }

    /// Reads what the socket has, up to the limit and the capacity.
    ///
    /// - Returns: as ``append(from:atMost:)``.
    mutating func read(from descriptor: Int32, atMost limit: Int) -> Int {
        bytes.removeAll(keepingCapacity: true)
        bytes.reserveCapacity(Self.capacityBytes)
        return bytes.append(from: descriptor, atMost: min(limit, Self.capacityBytes))
    }
}

/// Reads what the socket has into `buffer`, without blocking.
///
/// - Returns: the number of bytes; 0 at the end of the input; a negated errno on failure.
func receive(from descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let received = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
    return received < 0 ? -Int(errno) : received
}

extension [UInt8] {
    /// Appends what the socket has, without blocking.
    ///
    /// - Returns: the number of bytes; 0 at the end of the input; a negated errno on failure.
    mutating func append(from descriptor: Int32, atMost limit: Int) -> Int {
        var received = 0
        append(addingCapacity: limit) { (free: inout OutputSpan<UInt8>) in
            free.withUnsafeMutableBufferPointer { buffer, count in
                received = recv(descriptor, buffer.baseAddress, limit, Int32(MSG_DONTWAIT))
                if received < 0 { received = -Int(errno) }
                count = Swift.max(0, received)
            }
        }
        return received
    }
}
