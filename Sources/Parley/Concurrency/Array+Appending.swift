extension [UInt8] {
    /// Appends a byte, a number of four bytes, most significant first, and bytes: in one step, since each
    /// append has its price.
    @inline(__always)
    mutating func append(_ byte: UInt8, bigEndian value: UInt32, _ content: Span<UInt8>) {
        append(addingCapacity: 5 &+ content.count) { (free: inout OutputSpan<UInt8>) in
            free.withUnsafeMutableBufferPointer { place, initialized in
                let header = UnsafeMutableRawBufferPointer(place)
                header[0] = byte
                header.storeBytes(of: value.bigEndian, toByteOffset: 1, as: UInt32.self)
                content.withUnsafeBufferPointer { content in
                    _ = UnsafeMutableBufferPointer(rebasing: place[5...]).update(fromContentsOf: content)
                }
                initialized = 5 &+ content.count
            }
        }
    }
}
