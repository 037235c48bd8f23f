import CParley
import Parley

// Sending bytes that lie in several places. parley.h documents each function.

/// The slices of one message or write, checked. C's memory, for the length of a call.
private struct Slices {
    private let slices: UnsafeBufferPointer<parley_slice>
    /// The bytes of all slices together.
    let length: Int

    init(_ pointer: UnsafePointer<parley_slice>?, _ count: Int) throws(ParleyError) {
        try checkSize(count, "count")
        guard pointer != nil || count == 0 else {
            throw ParleyError(.invalidArgument, "slices is NULL, but count is \(count)")
        }
        slices = UnsafeBufferPointer(start: pointer, count: count)
        var length = 0
        for (index, slice) in slices.enumerated() {
            guard slice.length >= 0 else {
                let bytes = UInt(bitPattern: slice.length)
                throw ParleyError(
                    .invalidArgument,
                    "slices[\(index)].length is \(bytes), above PTRDIFF_MAX"
                )
            }
            guard slice.bytes != nil || slice.length == 0 else {
                throw ParleyError(
                    .invalidArgument,
                    "slices[\(index)].bytes is NULL, but its length is \(slice.length)"
                )
            }
            let (sum, isOverflow) = length.addingReportingOverflow(slice.length)
            guard !isOverflow else {
                throw ParleyError(.invalidArgument, "the slices have more than PTRDIFF_MAX bytes together")
            }
            length = sum
        }
        self.length = length
    }

    /// Copies a part of the bytes, one slice after the other.
    func copy(_ part: Range<Int>, to place: UnsafeMutableRawPointer) {
        var next = place
        var start = 0
        for slice in slices where slice.length > 0 {
            let wanted = part.clamped(to: start..<start + slice.length)
            if !wanted.isEmpty {
                next.copyMemory(from: slice.bytes + (wanted.lowerBound - start), byteCount: wanted.count)
                next += wanted.count
            }
            start += slice.length
        }
    }

    /// A copy of all bytes. Throws `outOfMemory` when there is no memory for a large one.
    func joined() throws(ParleyError) -> ArraySlice<UInt8> { try joined(0..<length) }

    /// The same for a part of the bytes.
    func joined(_ part: Range<Int>) throws(ParleyError) -> ArraySlice<UInt8> {
        guard !part.isEmpty else { return [] }
        try AvailableMemory.check(part.count, for: "a copy")
        let bytes = [UInt8](unsafeUninitializedCapacity: part.count) { buffer, count in
            copy(part, to: UnsafeMutableRawPointer(buffer.baseAddress!))
            count = part.count
        }
        return bytes[...]
    }
}

/// See parley.h.
@c @implementation
public func parley_send_messagev(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ slices: UnsafePointer<parley_slice>?,
    _ count: Int,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let limit = try WaitLimit(milliseconds: timeout_ms)
        let slices = try Slices(slices, count)
        // As in parley_send_message(): only large messages are kept.
        guard (1..<WireBuffer.keptSliceBytes).contains(slices.length) else {
            let connection = try connection(transport, peer)
            try connection.node.checkLength(ofMessage: slices.length)
            return try connection.send(message: try slices.joined(), limit)
        }
        let isFound = try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: slices.length) { place in
            slices.copy(0..<slices.length, to: UnsafeMutableRawPointer(place.baseAddress!))
            let bytes = UnsafeBufferPointer(place)
            return try withNode(transport) { try $0.send(message: bytes.span, to: peer, limit) }
        }
        guard isFound else { throw noSuchPeer(peer) }
    }
}

/// See parley.h.
@c @implementation
public func parley_sendv(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ slices: UnsafePointer<parley_slice>?,
    _ count: Int,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let connection = try connection(transport, peer)
        let limit = try WaitLimit(milliseconds: timeout_ms)
        let slices = try Slices(slices, count)
        try connection.node.checkLength(ofRawBytes: slices.length)
        try connection.send(try slices.joined(), limit)
    }
}

/// See parley.h.
@c @implementation
public func parley_broadcastv(
    _ transport: OpaquePointer?,
    _ slices: UnsafePointer<parley_slice>?,
    _ count: Int
) -> Int32 {
    counted {
        let transport = try openNode(transport).transport!
        let slices = try Slices(slices, count)
        try transport.node.checkLength(ofMessage: slices.length)
        return Int32(clamping: transport.broadcast(message: try slices.joined()).accepted)
    }
}

/// See parley.h.
@c @implementation
public func parley_stream_writev(
    _ stream: OpaquePointer?,
    _ slices: UnsafePointer<parley_slice>?,
    _ count: Int,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let stream = try object(stream, "stream", ForeignStream.self)
        let limit = try WaitLimit(milliseconds: timeout_ms)
        let slices = try Slices(slices, count)
        try stream.writer.write(slices.length, limit) { (piece) throws(ParleyError) in
            try slices.joined(piece)
        }
    }
}
