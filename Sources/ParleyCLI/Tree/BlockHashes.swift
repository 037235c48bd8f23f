/// Hashes of a file's blocks, by which both ends find out how much of it they share.
enum BlockHashes {
    /// Files below this are cheaper to send than to ask about.
    static let leastFileBytes = 1 << 20
    /// So many blocks at most, so that an answer stays small.
    static let mostBlocks = 4_096

    /// How long a block of a file of that size is. Both ends compute it.
    static func blockBytes(fileBytes: Int) -> Int {
        let least = max(1, fileBytes / mostBlocks + (fileBytes % mostBlocks == 0 ? 0 : 1))
        // Whole mebibytes.
        let mebibyte = 1 << 20
        return (least + mebibyte - 1) / mebibyte * mebibyte
    }

    /// How many bytes of a file need not be sent: the blocks at its beginning are the same at the other end.
    ///
    /// - Parameters:
    ///   - theirs: the other end's hashes, from the first block on. The last one may be of a shorter block,
    ///     at the file's end.
    ///   - own: computes the hash of this end's block with that number; nil behind the file's end.
    static func sharedBytes(
        _ theirs: [UInt64],
        fileBytes: Int,
        own: (_ block: Int) async throws -> UInt64?
    ) async rethrows -> Int {
        let blockBytes = blockBytes(fileBytes: fileBytes)
        for (block, hash) in theirs.enumerated() {
            guard try await own(block) == hash else { return block * blockBytes }
        }
        return min(fileBytes, theirs.count * blockBytes)
    }
}

/// XXH64 with the seed 0. It tells bytes apart that differ by accident; it is no signature.
/// Source: <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>.
struct XXHash64 {
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    private static let stripeBytes = 32

    private var lanes = (
        XXHash64.prime1 &+ XXHash64.prime2, XXHash64.prime2, UInt64(0), 0 &- XXHash64.prime1
    )
    private var byteCount = 0
    /// What does not fill a stripe yet.
    private var rest: [UInt8] = []

    init() {}

    static func hash(_ bytes: [UInt8]) -> UInt64 {
        var hash = XXHash64()
        hash.update(bytes)
        return hash.digest
    }

    /// Takes the next piece. The pieces may be of any length; whole stripes are not copied.
    mutating func update(_ piece: [UInt8]) {
        byteCount += piece.count
        let bytes = rest.isEmpty ? piece : rest + piece
        let whole = bytes.count - bytes.count % Self.stripeBytes
        bytes.withUnsafeBytes { absorb($0, upTo: whole) }
        rest = Array(bytes[whole...])
    }

    private mutating func absorb(_ bytes: UnsafeRawBufferPointer, upTo end: Int) {
        var (lane1, lane2, lane3, lane4) = lanes
        var offset = 0
        while offset < end {
            lane1 = Self.round(lane1, Self.word(bytes, offset))
            lane2 = Self.round(lane2, Self.word(bytes, offset + 8))
            lane3 = Self.round(lane3, Self.word(bytes, offset + 16))
            lane4 = Self.round(lane4, Self.word(bytes, offset + 24))
            offset += Self.stripeBytes
        }
        lanes = (lane1, lane2, lane3, lane4)
    }

    /// The hash of all pieces so far.
    var digest: UInt64 { rest.withUnsafeBytes { value(endingWith: $0) } }

    private func value(endingWith bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = Self.prime5
        if byteCount >= Self.stripeBytes {
            let (lane1, lane2, lane3, lane4) = lanes
            hash = Self.rotate(lane1, 1) &+ Self.rotate(lane2, 7)
            hash = hash &+ Self.rotate(lane3, 12) &+ Self.rotate(lane4, 18)
            for lane in [lane1, lane2, lane3, lane4] { hash = Self.merge(hash, lane) }
        }
        hash &+= UInt64(byteCount)
        var offset = 0
        while offset <= bytes.count - 8 {
            hash = Self.rotate(hash ^ Self.round(0, Self.word(bytes, offset)), 27)
            hash = hash &* Self.prime1 &+ Self.prime4
            offset += 8
        }
        if offset <= bytes.count - 4 {
            let half = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            hash = Self.rotate(hash ^ UInt64(half) &* Self.prime1, 23) &* Self.prime2 &+ Self.prime3
            offset += 4
        }
        while offset < bytes.count {
            hash = Self.rotate(hash ^ UInt64(bytes[offset]) &* Self.prime5, 11) &* Self.prime1
            offset += 1
        }
        hash = (hash ^ hash >> 33) &* Self.prime2
        hash = (hash ^ hash >> 29) &* Self.prime3
        return hash ^ hash >> 32
    }

    private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        rotate(lane &+ word &* prime2, 31) &* prime1
    }

    private static func merge(_ hash: UInt64, _ lane: UInt64) -> UInt64 {
        (hash ^ round(0, lane)) &* prime1 &+ prime4
    }

    private static func rotate(_ word: UInt64, _ count: UInt64) -> UInt64 {
        word << count | word >> (64 - count)
    }
}
