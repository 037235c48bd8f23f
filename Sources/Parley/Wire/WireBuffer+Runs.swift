extension WireBuffer {
    /// Passes all bytes on in order, in runs of `length` bytes; the last one may be shorter. Only a run that
    /// begins in one piece of the buffer and ends in another is copied. A run may also be several times as
    /// long.
    func forEachRun(of length: Int, _ body: (Span<UInt8>) throws(ParleyError) -> Void) throws(ParleyError) {
        var gathered: [UInt8] = []
        for segment in segments {
            try Self.gather(segment.span, into: &gathered, runsOf: length, isLast: false, body)
        }
        try tail.withSpan { (tail) throws(ParleyError) in
            try Self.gather(tail, into: &gathered, runsOf: length, isLast: true, body)
        }
    }

    /// Passes on what fills runs together with what was gathered before, and gathers the rest.
    private static func gather(
        _ piece: Span<UInt8>,
        into gathered: inout [UInt8],
        runsOf length: Int,
        isLast: Bool,
        _ body: (Span<UInt8>) throws(ParleyError) -> Void
    ) throws(ParleyError) {
        var start = 0
        if !gathered.isEmpty {
            start = min(piece.count, length - gathered.count)
            gathered.append(copying: piece.extracting(0..<start))
            guard gathered.count == length || isLast else { return }
            try body(gathered.span)
            gathered.removeAll(keepingCapacity: true)
        }
        let rest = piece.count - start
        let end = isLast ? piece.count : start + rest / length * length
        if end > start { try body(piece.extracting(start..<end)) }
        if end < piece.count { gathered.append(copying: piece.extracting(end..<piece.count)) }
    }
}
