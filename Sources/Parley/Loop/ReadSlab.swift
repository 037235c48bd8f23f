/// The memory that all sockets of one loop read into, one after the other.
///
/// Messages in it are lent to an observer without a copy. An observer that keeps one keeps the whole slab:
/// the loop reads into a new slab from then on.
///
/// `@unchecked Sendable`: nobody writes to a slab that is kept.
package final class ReadSlab: @unchecked Sendable {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    static let byteCount = 64 * 1024

    deinit { bytes.deallocate() }
}

extension EventLoop {
    /// The slab for the next read. A new one when something of the last one is kept. The loop's thread only.
    @inline(__always)
    func slabToRead() -> UnsafeMutableRawBufferPointer {
        if !isKnownUniquelyReferenced(&readSlab) { readSlab = ReadSlab() }
        return readSlab.bytes
    }

    /// The slab of the last read if these bytes lie in it. Keeping it keeps them. The loop's thread only.
    package func slab(with bytes: UnsafeRawBufferPointer) -> ReadSlab? {
        assertIsCurrent()
        guard let start = bytes.baseAddress, let slab = readSlab.bytes.baseAddress else { return nil }
        let end = UnsafeRawPointer(slab) + readSlab.bytes.count
        return start >= UnsafeRawPointer(slab) && start + bytes.count <= end ? readSlab : nil
    }
}
