#if !FUZZ
    @testable import Parley
#endif

/// Fuzzes the gob wire form: events do not depend on how the bytes arrive, and decoded RPCs can be encoded.
func fuzzGOBDecoder(_ input: FuzzInput) {
    let limits = [16 << 20, 0, 16, 1_000]
    let limit = limits[Int(input.variant & 3)]
    let decoder = GOBDecoder(
        maxMessageBytes: limit,
        encoding: input.variant & 4 == 0 ? .selfContained : .onePerConnection
    )
    let whole = Transcript(of: input.wire, by: decoder)
    for case .message(let payload) in whole.entries {
        require(payload.count <= limit, "a message of \(payload.count) bytes, allowed are \(limit)")
    }
    // One of the two checks for each input: each costs as much as everything else.
    guard input.script.isEmpty else {
        return whole.requireEqual(Transcript(of: input.wire, script: input.script, by: decoder), "in pieces")
    }
    if input.wire.count <= 64 {
        whole.requireEqual(Transcript(of: input.wire, script: Reads.byteByByte, by: decoder), "byte by byte")
    }
    guard !whole.entries.isEmpty else { return }
    let echo = Transcript(of: whole.gob(by: decoder)[...], by: decoder)
    require(echo.violation == nil, "what was written cannot be read: \(echo.violation as Any)")
    require(echo.truncation == nil, "what was written has no end: \(echo.truncation as Any)")
    whole.requireSameEntries(echo, "written and read again")
}

extension Transcript {
    /// Encodes the RPCs.
    fileprivate func gob(by decoder: GOBDecoder) -> [UInt8] {
        var encoder = decoder
        var buffer = WireBuffer()
        do {
            for entry in entries {
                switch entry {
                case .message(let payload): try encoder.encode(message: payload, into: &buffer)
                case .streamOpened(let header): try encoder.encodeStreamOpening(header: header, into: &buffer)
                default: fatalError("gob has no \(entry)")
                }
            }
        } catch { fatalError("what was read cannot be written: \(error)") }
        return buffer.contiguous
    }
}
