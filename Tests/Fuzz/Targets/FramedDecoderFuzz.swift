#if !FUZZ
    @testable import Parley
#endif

/// Fuzzes the framed wire form: events do not depend on how the bytes arrive, and decoded events can be
/// encoded.
func fuzzFramedDecoder(_ input: FuzzInput) {
    let limits = [FramedDecoder.defaultMaxMessageBytes, 0, 16, 1_000]
    let limit = limits[Int(input.variant & 3)]
    let decoder = FramedDecoder(maxMessageBytes: limit)
    let whole = Transcript(of: input.wire, by: decoder)
    for entry in whole.entries {
        switch entry {
        case .message(let payload), .request(_, let payload), .reply(_, let payload):
            require(payload.count <= limit, "a message of \(payload.count) bytes, allowed are \(limit)")
        default: break
        }
    }
    // One of the two checks for each input: each costs as much as everything else.
    guard input.script.isEmpty else {
        return whole.requireEqual(Transcript(of: input.wire, script: input.script, by: decoder), "in pieces")
    }
    if input.wire.count <= 64 {
        whole.requireEqual(Transcript(of: input.wire, script: Reads.byteByByte, by: decoder), "byte by byte")
    }
    guard !whole.entries.isEmpty else { return }
    let written = whole.framed(by: decoder, headersApart: input.variant & 4 != 0)
    whole.requireSameContent(Transcript(of: written[...], by: decoder))
}

extension Transcript {
    /// Encodes the events.
    fileprivate func framed(by decoder: FramedDecoder, headersApart: Bool) -> [UInt8] {
        var encoder = decoder
        var buffer = WireBuffer()
        do {
            for entry in entries {
                switch entry {
                case .message(let payload): try encoder.encode(message: payload, into: &buffer)
                case .streamOpened(let header): try encoder.encodeStreamOpening(header: header, into: &buffer)
                case .streamBytes(let range) where headersApart:
                    // As for bytes that the kernel writes from a file.
                    require(encoder.encodeStreamBytesHeader(count: range.count, into: &buffer), "no header")
                    buffer.append(streamBytes[range])
                case .streamBytes(let range): encoder.encodeStreamBytes(streamBytes[range], into: &buffer)
                case .request(let number, let payload):
                    try encoder.encode(request: number, payload, into: &buffer)
                case .reply(let number, let payload):
                    try encoder.encode(replyTo: number, payload, into: &buffer)
                case .refusal(let number, let code, let reason):
                    let text = String(decoding: reason, as: UTF8.self)
                    try encoder.encode(refusalOf: number, code: code, reason: text, into: &buffer)
                case .ping(let token): require(encoder.encodePing(token, into: &buffer), "no ping")
                case .pong(let token): encoder.encodePong(token, into: &buffer)
                case .streamEnded: encoder.encodeStreamEnd(into: &buffer)
                case .streamAborted(let code, let reason):
                    let text = String(decoding: reason, as: UTF8.self)
                    require(encoder.encodeStreamAbort(code: code, reason: text, into: &buffer), "no abort")
                }
            }
        } catch { fatalError("what was read cannot be written: \(error)") }
        return buffer.contiguous
    }

    fileprivate func requireSameContent(_ echo: Transcript) {
        require(echo.violation == nil, "what was written cannot be read: \(echo.violation as Any)")
        require(streamBytes == echo.streamBytes && entries.count == echo.entries.count, "the echo differs")
        for (entry, echo) in zip(entries, echo.entries) {
            require(Self.isEcho(entry, echo), "\(entry) became \(echo)")
        }
    }

    /// Invalid UTF-8 grows when it is decoded, so that a long reason is cut when it is encoded again. At most
    /// one character is lost at the cut.
    private static func isEcho(_ entry: Entry, _ echo: Entry) -> Bool {
        func isCut(_ reason: [UInt8], _ cut: [UInt8]) -> Bool {
            let most = FramedDecoder.maxReasonBytes
            return reason.count > most ? cut.starts(with: reason.prefix(most - 3)) : reason == cut
        }
        switch (entry, echo) {
        case (.streamAborted(let code, let reason), .streamAborted(let echoed, let cut)):
            return code == echoed && isCut(reason, cut)
        case (.refusal(let number, let code, let reason), .refusal(let to, let echoed, let cut)):
            return number == to && code == echoed && isCut(reason, cut)
        default: return entry == echo
        }
    }
}
