#if !FUZZ
    @testable import Parley
#endif

/// The events that a decoder returned for the bytes of a connection, independent of how they arrived.
struct Transcript {
    enum Entry: Equatable {
        case message(ArraySlice<UInt8>)
        case streamOpened(ArraySlice<UInt8>)
        /// Consecutive stream bytes, as a part of `streamBytes`.
        case streamBytes(Range<Int>)
        case streamEnded
        case streamAborted(code: UInt32, reason: [UInt8])
        case request(UInt32, ArraySlice<UInt8>)
        case reply(UInt32, ArraySlice<UInt8>)
        case refusal(UInt32, code: UInt32, reason: [UInt8])
        case ping(UInt64)
        case pong(UInt64)
    }

    private(set) var entries: [Entry] = []
    private(set) var streamBytes: [UInt8] = []
    /// Why decoding stopped.
    private(set) var violation: ParleyError?
    /// What the decoder throws at the connection's end.
    private(set) var truncation: ParleyError?

    /// Decodes `wire` in the given reads. Closes each stream when it opens.
    init<Form: Decoder>(of wire: ArraySlice<UInt8>, script: ArraySlice<UInt8> = [], by decoder: Form) {
        var decoder = decoder
        let heap = HeapUse()
        let unread = decode(wire, Reads(of: wire, script: script), &decoder)
        heap.requireInProportion(to: wire.count)
        guard violation == nil else { return }
        do { try decoder.endOfInput(unread: unread) } catch { truncation = error }
    }

    /// Decodes as much as possible; returns what the decoder left.
    private mutating func decode<Form: Decoder>(
        _ wire: ArraySlice<UInt8>,
        _ reads: Reads,
        _ decoder: inout Form
    ) -> ArraySlice<UInt8> {
        var unread = wire.prefix(0)
        var promise = 0
        for end in reads {
            unread = wire[unread.startIndex..<end]
            while !unread.isEmpty {
                let before = unread
                let event: DecoderEvent
                do { event = try decoder.decode(&unread) } catch {
                    violation = error
                    return unread
                }
                let used = before.count - unread.count
                require(unread.endIndex == end && used >= 0, "the decoder took bytes from the back")
                Self.check(event, of: used, from: before.count, promise: promise)
                guard case .incomplete(let frameBytes) = event else {
                    promise = 0
                    append(event, of: wire.prefix(upTo: end))
                    continue
                }
                require(frameBytes == 0 || frameBytes > unread.count, "a whole frame is called incomplete")
                promise = frameBytes
                break
            }
        }
        return unread
    }

    /// Checks that a frame with an announced length is decoded when that many bytes have arrived, and not
    /// before.
    private static func check(_ event: DecoderEvent, of used: Int, from available: Int, promise: Int) {
        if case .incomplete(let frameBytes) = event {
            guard promise > 0, available < promise else { return }
            require(used == 0 && frameBytes == promise, "a frame of \(promise) bytes became \(frameBytes)")
        } else {
            require(used > 0, "\(event) came of no bytes")
            require(promise <= available && promise <= used, "a frame of \(promise) bytes used up \(used)")
        }
    }

    private mutating func append(_ event: DecoderEvent, of arrived: ArraySlice<UInt8>) {
        switch event {
        case .message(let payload):
            Self.requireSlice(payload, of: arrived)
            entries.append(.message(payload))
        case .streamOpened(let header):
            Self.requireSlice(header, of: arrived)
            entries.append(.streamOpened(header))
        case .streamBytes(let bytes):
            Self.requireSlice(bytes, of: arrived)
            append(streamBytes: bytes)
        case .streamEnded: entries.append(.streamEnded)
        case .streamAborted(let code, let reason):
            entries.append(.streamAborted(code: code, reason: Array(reason.utf8)))
        case .request(let number, let payload):
            Self.requireSlice(payload, of: arrived)
            entries.append(.request(number, payload))
        case .reply(let number, let payload):
            Self.requireSlice(payload, of: arrived)
            entries.append(.reply(number, payload))
        case .refusal(let number, let code, let reason):
            entries.append(.refusal(number, code: code, reason: Array(reason.utf8)))
        case .ping(let token): entries.append(.ping(token))
        case .pong(let token): entries.append(.pong(token))
        case .incomplete: break
        }
    }

    /// Joins neighbouring stream bytes: their pieces depend on the reads.
    private mutating func append(streamBytes bytes: ArraySlice<UInt8>) {
        guard !bytes.isEmpty else { return }
        var start = streamBytes.count
        streamBytes.append(contentsOf: bytes)
        if case .streamBytes(let earlier) = entries.last {
            start = earlier.lowerBound
            entries.removeLast()
        }
        entries.append(.streamBytes(start..<streamBytes.count))
    }

    /// Checks that an event's bytes are slices of the input that has arrived, not copies.
    private static func requireSlice(_ bytes: ArraySlice<UInt8>, of arrived: ArraySlice<UInt8>) {
        guard !bytes.isEmpty else { return }
        require(
            bytes.startIndex >= arrived.startIndex && bytes.endIndex <= arrived.endIndex
                && isSame(bytes, arrived[bytes.indices]),
            "bytes \(bytes.indices) are not a part of what has arrived, \(arrived.indices)"
        )
    }
}

extension Transcript {
    /// Expects the same events for the same bytes in other reads.
    func requireEqual(_ other: Transcript, _ how: String) {
        requireSameEntries(other, how)
        require(Self.isSameError(violation, other.violation, hasGuess: entries.isEmpty), differs(other, how))
        require(Self.isSameError(truncation, other.truncation), differs(other, how))
    }

    func requireSameEntries(_ other: Transcript, _ how: String) {
        require(entries == other.entries && streamBytes == other.streamBytes, differs(other, how))
    }

    /// Compares the codes only: the message of a violation in the first bytes shows as many as have arrived.
    private static func isSameError(
        _ one: ParleyError?,
        _ other: ParleyError?,
        hasGuess: Bool = false
    ) -> Bool {
        hasGuess ? one?.code == other?.code : one == other
    }

    private func differs(_ other: Transcript, _ how: String) -> String {
        "\(how): \(description)\n\nand at once: \(other.description)"
    }

    private var description: String {
        "\(entries), stream bytes \(streamBytes), \(violation?.description ?? "no violation"), "
            + (truncation?.description ?? "not truncated")
    }
}

/// The memory that a decoder uses, to check that it is in proportion to its input.
struct HeapUse {
    #if FUZZ
        private let bytesBefore = heap_bytes_in_use()

        init() { _ = heap_take_largest_request() }
    #endif

    /// Checks in the fuzzer only, where nothing else runs at the same time.
    func requireInProportion(to wireBytes: Int) {
        #if FUZZ
            // What a decoder and this transcript may use for each byte, plus a constant.
            let limit = 128 * wireBytes + 64 << 10
            let largest = heap_take_largest_request()
            require(largest <= limit, "\(largest) bytes at once for \(wireBytes) bytes of input")
            let kept = Int(heap_bytes_in_use()) - Int(bytesBefore)
            require(kept <= limit, "\(kept) bytes kept for \(wireBytes) bytes of input")
        #endif
    }
}
