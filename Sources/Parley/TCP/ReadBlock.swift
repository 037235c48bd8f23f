#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Memory for one read of a stream, which can be handed on as it is: kernel to reader, with no copy in between.
struct ReadBlock {
    /// More than this is not read at once. Half of it is worth a block of its own: where less comes, the reader is faster
    /// than the sender, and has the time for a copy. So no block is kept that is less than half full.
    static let capacityBytes = 128 * 1024
    private static let keptBytes = capacityBytes / 2

    private(set) var bytes: [UInt8] = []

    var isEmpty: Bool { bytes.isEmpty }
    var isWorthKeeping: Bool { bytes.count >= Self.keptBytes }

    /// Reads what the socket has, up to the limit and the capacity.
    ///
    /// - Returns: how much that was; as ``append(from:atMost:)``.
    mutating func read(from descriptor: Int32, atMost limit: Int) -> Int {
        bytes.removeAll(keepingCapacity: true)
        bytes.reserveCapacity(Self.capacityBytes)
        return bytes.append(from: descriptor, atMost: min(limit, Self.capacityBytes))
    }
}

/// What the socket has, without blocking, into `buffer`.
///
/// - Returns: how much that was; 0 at the end and, negated, an errno.
func receive(from descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let received = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
    return received < 0 ? -Int(errno) : received
}

extension [UInt8] {
    /// Appends what the socket has, without blocking.
    ///
    /// - Returns: how much that was; 0 at the end and, negated, an errno.
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
