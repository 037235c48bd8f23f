// Frames that have not arrived whole: small ones in pieces, large ones in a buffer of their own.

extension PeerState {
    /// The next input for the decoder, including what it left of the last. Nil also while a large frame is
    /// incomplete.
    mutating func nextInput() -> ArraySlice<UInt8>? {
        while case .largeFrame(var frame) = partialFrame {
            if frame.missing <= 0 {
                partialFrame = .nothing
                return frame.bytes[...]
            }
            guard let more = queue.popFirst(upTo: frame.missing) else { return nil }
            // With a second reference to the buffer, an append would copy all of it.
            partialFrame = .nothing
            frame.bytes.append(contentsOf: more)
            partialFrame = .largeFrame(frame)
        }
        guard case .beginning(var bytes, let frameBytes) = partialFrame else { return queue.popFirst() }
        // Takes only what completes the frame, so that the rest of the block stays in place. While the length
        // is unknown it takes as much as is there already, so each byte is copied only a few times.
        let missing = frameBytes > bytes.count ? frameBytes &- bytes.count : max(64, bytes.count)
        guard let more = queue.popFirst(upTo: missing) else { return nil }
        partialFrame = .nothing
        bytes.append(contentsOf: more)
        return bytes
    }

    /// Keeps the beginning of a frame. A large frame gets its buffer now: the decoder has checked the length,
    /// and memory that is not written to costs nothing.
    mutating func keep(_ input: ArraySlice<UInt8>, frameBytes: Int) throws(ParleyError) {
        try checkLength(max(frameBytes, input.count) &- Bounds.frameOverheadBytes)
        guard frameBytes > 0 || input.count <= Self.maxUnknownFrameBytes else {
            throw violated("a \(decoder.name) frame has no end within \(Self.maxUnknownFrameBytes) bytes")
        }
        guard frameBytes <= Self.maxLargeFrameBytes, frameBytes - input.count >= Self.largeFrameBytes else {
            partialFrame = input.isEmpty ? .nothing : .beginning(input.detached, frameBytes: frameBytes)
            return
        }
        do throws(ParleyError) {
            try AvailableMemory.check(frameBytes, for: "a \(decoder.name) frame")
        } catch {
            throw fail(error)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(frameBytes)
        bytes.append(contentsOf: input)
        partialFrame = .largeFrame(LargeFrame(bytes: bytes, frameBytes: frameBytes))
    }

    /// Gives the incomplete large frame away, to be read into. Nil when there is none, or when other input
    /// waits before it.
    mutating func takeLargeFrame() -> LargeFrame? {
        guard queue.isEmpty, case .largeFrame(var frame) = partialFrame, frame.missing > 0 else { return nil }
        partialFrame = .nothing
        frame.bytesBefore = frame.bytes.count
        return frame
    }

    /// Takes the large frame back.
    mutating func returnLargeFrame(_ frame: consuming LargeFrame) { partialFrame = .largeFrame(frame) }
}
