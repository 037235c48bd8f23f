import Testing

@testable import Parley

@Suite struct PeerIDTests {
    /// Keys in hexadecimal, with their ids in base58btc and as a CIDv1.
    ///
    /// The first is the Ed25519 key, the second the id of the libp2p specification "Peer Ids and Keys". The
    /// others are at the ends of the range.
    static let known = [
        (
            "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
            "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
            "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6"
        ),
        (
            "2ffa35a99d3a3cfbb17bb7c1dc5561b18a8dcca4df38dc613ea859c37eb1336b",
            "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
            "bafzaajaiaejcal72gwuz2or47oyxxn6b3rkwdmmkrxgkjxzy3rqt5kczyn7lcm3l"
        ),
        (
            String(repeating: "00", count: 32),
            "12D3KooW9pNAk8aiBuGVQtWRdbkLmo5qVL3e2h5UxbN2Nz9ttwiw",
            "bafzaajaiaejcaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        ),
        (
            String(repeating: "ff", count: 32),
            "12D3KooWT3gYEvLJyx1FyyHqrmvdy1tMjpgxmu9aSeKMEuafQtyC",
            "bafzaajaiaejcb777777777777777777777777777777777777777777777777777"
        ),
    ]

    @Test(arguments: known)
    func `a key's id is the one that libp2p gives it`(hex: String, base58: String, cid: String) throws {
        let key = bytes(hex)
        let id = try PeerID(publicKey: key)
        #expect(id.description == base58)
        #expect(id.cid == cid)
        #expect(id.publicKey == key)
        #expect(id.bytes == bytes("002408011220") + key)
        #expect(id.publicKeyProtobuf == bytes("08011220") + key)
        #expect(PeerID(publicKeyProtobuf: id.publicKeyProtobuf) == id)
        for same in try [PeerID(base58), PeerID(cid), PeerID(bytes: id.bytes)] {
            #expect(same == id)
            #expect(same.hashValue == id.hashValue)
        }
    }

    @Test func `ids are ordered like their keys`() throws {
        let ids = try Self.known.map { try PeerID(publicKey: bytes($0.0)) }
        #expect(Set(ids).count == ids.count)
        #expect(ids.sorted() == [ids[2], ids[0], ids[1], ids[3]])
        // Keys that differ in their last byte are different.
        var key = ids[0].publicKey
        key[31] ^= 1
        #expect(try PeerID(publicKey: key) != ids[0])
        #expect(try PeerID(publicKey: key) > ids[0])
    }

    @Test(arguments: [
        ("", "is empty"),
        ("localhost", "begins neither with"),
        // Other kinds of keys: RSA and secp256k1, each in the text forms of the specification.
        ("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "not Ed25519"),
        ("bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", "not Ed25519"),
        ("16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY", "not Ed25519"),
        // A character that base58 lacks, a missing, an additional and a changed character.
        ("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p0", "is not base58btc"),
        ("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p", "does not hold a key"),
        ("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pqq", "does not hold a key"),
        ("112D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq", "does not hold a key"),
        (" 12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq", "begins neither with"),
        ("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq ", "is not base58btc"),
        ("1", "does not hold a key"),
        ("Q", "does not hold a key"),
        // In a CIDv1: an odd character, upper case, a bit beyond the end, another codec, no multihash.
        ("bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt1", "is not base32"),
        ("bAFZAAJAIAEJCAHWR5D5OFRFBIS4L5D6UWR57HU5TJODRYPFM6YAQ6DSC2R2PZYT6", "is not base32"),
        ("bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6b", "is not base32"),
        ("bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6aa", "has the wrong length"),
        ("bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am", "is not the CIDv1 of a key"),
        ("bafza", "does not hold a key"),
        ("b", "is not the CIDv1 of a key"),
        (String(repeating: "1", count: 129), "is too long"),
    ])
    func `errors of malformed ids name the fault`(text: String, complaint: String) {
        let error = #expect(throws: ParleyError.self) { try PeerID(text) }
        #expect(error?.code == .invalidAddress)
        #expect(error?.message.contains(complaint) == true, "\(error?.message ?? "")")
    }

    @Test(arguments: [0, 31, 33, 64])
    func `a key has 32 bytes`(count: Int) {
        let error = #expect(throws: ParleyError.self) {
            try PeerID(publicKey: Array(repeating: 7, count: count))
        }
        #expect(error?.code == .invalidArgument)
    }

    @Test(arguments: [
        "", "08011220", "0801122000",
        "080112211ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
        "080012201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
        "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e00",
        "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
    ])
    func `only the protobuf of an Ed25519 key makes an id`(hex: String) {
        #expect(PeerID(publicKeyProtobuf: bytes(hex)) == nil)
    }

    @Test func `the text encodings hold any bytes`() {
        for count in 0..<40 {
            for fill in [0, 1, 0x7f, 0xff] as [UInt8] {
                let bytes = [UInt8](repeating: fill, count: count) + [UInt8(count)]
                #expect(Base58.decode(Base58.encode(bytes)) == bytes)
                #expect(Base32.decode(Base32.encode(bytes)) == bytes)
            }
        }
        // Vectors of the base58 draft and of RFC 4648, section 10.
        #expect(Base58.encode([UInt8]("Hello World!".utf8)) == "2NEpo7TZRRrLZSi2U")
        #expect(Base58.encode(bytes("0000287fb4cd")) == "11233QC4")
        #expect(Base32.encode([UInt8]("foobar".utf8)) == "mzxw6ytboi")
        #expect(Base32.encode([UInt8]("fooba".utf8)) == "mzxw6ytb")
        #expect(Base32.encode([UInt8]("f".utf8)) == "my")
        #expect(Base32.decode("mz") == nil)
        #expect(Base32.decode("m") == nil)
    }

    /// The bytes of a text in hexadecimal.
    private func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16)! }
    }
}
