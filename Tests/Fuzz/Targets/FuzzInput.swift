/// One fuzz input: `variant | script length | script | wire bytes`.
///
/// The wire bytes are last and in one piece, so that `00 00` before the bytes of a connection makes a seed.
struct FuzzInput {
    /// Chooses a configuration.
    let variant: UInt8
    /// How the wire bytes arrive, or which calls are made; at most 31 bytes.
    let script: ArraySlice<UInt8>
    let wire: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        variant = bytes.first ?? 0
        let scriptBytes = bytes.count > 1 ? Int(bytes[1] & 31) : 0
        script = bytes.dropFirst(2).prefix(scriptBytes)
        wire = bytes.dropFirst(2 + scriptBytes)
    }
}

/// Where each read of a connection ends. The script's bytes are the reads' lengths, repeated. With an empty
/// script one read brings everything.
struct Reads: Sequence, IteratorProtocol {
    /// The script for a byte at a time.
    static let byteByByte: ArraySlice<UInt8> = [0]

    private let script: ArraySlice<UInt8>
    private let end: Int
    private var position: Int
    private var step: Int

    init(of wire: ArraySlice<UInt8>, script: ArraySlice<UInt8>) {
        self.script = script
        end = wire.endIndex
        position = wire.startIndex
        step = script.startIndex
    }

    mutating func next() -> Int? {
        guard position < end else { return nil }
        guard !script.isEmpty else {
            position = end
            return end
        }
        position = Swift.min(end, position + Self.length(script[step]))
        step += 1
        if step == script.endIndex { step = script.startIndex }
        return position
    }

    /// Converts a script byte to a length: small ones exactly, larger ones up to 4 KiB.
    private static func length(_ byte: UInt8) -> Int {
        byte < 192 ? Int(byte) + 1 : (Int(byte) - 191) * 64
    }
}
