// The pieces of a buffer as libuv takes them.

import CLibUV

extension WireBuffer {
    /// Calls `body` with the pieces as libuv's scatter list, which is borrowed for the call.
    func withBuffers(_ body: (UnsafeMutableBufferPointer<uv_buf_t>) -> Void) {
        func uvBuffer(_ bytes: UnsafeRawBufferPointer) -> uv_buf_t {
            // libuv declares the base mutable and does not write to it.
            uv_buf_t(
                base: UnsafeMutableRawPointer(mutating: bytes.baseAddress!).assumingMemoryBound(
                    to: CChar.self
                ),
                len: bytes.count
            )
        }
        if segments.isEmpty {
            tail.withBytes { bytes in
                var buffer = uvBuffer(bytes)
                withUnsafeMutablePointer(to: &buffer) {
                    body(UnsafeMutableBufferPointer(start: $0, count: 1))
                }
            }
            return
        }
        var buffers = segments.map { $0.withUnsafeBytes(uvBuffer) }
        if !tail.isEmpty { buffers.append(tail.withBytes(uvBuffer)) }
        buffers.withUnsafeMutableBufferPointer { body($0) }
    }
}

extension UnsafeMutableBufferPointer where Element == uv_buf_t {
    /// The rest of the scatter list after its first `count` bytes.
    func dropBytes(_ count: Int) -> SubSequence {
        var rest = self[...]
        var count = count
        while let first = rest.first, count >= first.len {
            count -= first.len
            rest.removeFirst()
        }
        if count > 0, !rest.isEmpty {
            let first = rest[rest.startIndex]
            self[rest.startIndex] = uv_buf_t(base: first.base + count, len: first.len - count)
        }
        return rest
    }
}
