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

    static func hash(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { hash($0) } }

    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        func word(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        var offset = 0
        var hash = prime5
        if bytes.count >= 32 {
            var (lane1, lane2) = (prime1 &+ prime2, prime2)
            var (lane3, lane4) = (UInt64(0), 0 &- prime1)
            while offset <= bytes.count - 32 {
                lane1 = round(lane1, word(offset))
                lane2 = round(lane2, word(offset + 8))
                lane3 = round(lane3, word(offset + 16))
                lane4 = round(lane4, word(offset + 24))
                offset += 32
            }
            hash = rotate(lane1, 1) &+ rotate(lane2, 7) &+ rotate(lane3, 12) &+ rotate(lane4, 18)
            hash = merge(merge(merge(merge(hash, lane1), lane2), lane3), lane4)
        }
        hash &+= UInt64(bytes.count)
        while offset <= bytes.count - 8 {
            hash = rotate(hash ^ round(0, word(offset)), 27) &* prime1 &+ prime4
            offset += 8
        }
        if offset <= bytes.count - 4 {
            let half = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            hash = rotate(hash ^ UInt64(half) &* prime1, 23) &* prime2 &+ prime3
            offset += 4
        }
        while offset < bytes.count {
            hash = rotate(hash ^ UInt64(bytes[offset]) &* prime5, 11) &* prime1
            offset += 1
        }
        hash = (hash ^ hash >> 33) &* prime2
        hash = (hash ^ hash >> 29) &* prime3
        return hash ^ hash >> 32
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
