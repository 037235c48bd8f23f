import Parley
import Testing

@testable import ParleyNoise

@Suite struct NoiseXXTests {
    /// One handshake of known keys, and what follows it.
    struct Vector: Sendable, CustomTestStringConvertible {
        var testDescription: String
        let keys: (initiator: String, responder: String)
        let ephemeralKeys: (initiator: String, responder: String)
        let prologue: String
        var hash: String?
        /// Payload and message of each handshake message.
        let handshake: [(payload: String, message: String)]
        /// What the sides send afterwards.
        let transport: [(role: NoiseXX.Role, payload: String, message: String)]
    }

    static let vectors = [
        // Test vectors of the Noise wiki, as the cacophony library publishes them.
        Vector(
            testDescription: "cacophony",
            keys: (
                "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
                "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"
            ),
            ephemeralKeys: (
                "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
                "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"
            ),
            prologue: "4a6f686e2047616c74",
            hash: "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e",
            handshake: [
                (
                    "4c756477696720766f6e204d69736573",
                    """
                    ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c75647769672076
                    6f6e204d697365
                    73
                    """
                ),
                (
                    "4d757272617920526f746862617264",
                    """
                    95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c
                    48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9bd5269c2f1e4f488ed8831161f19b781
                    5528f8982ffe09be9b5c412f8a0db50f8814c7194e83f23dbd8d162c9326ad
                    """
                ),
                (
                    "462e20412e20486179656b",
                    """
                    c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a80ae475b9df0f169a
                    e80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6ae769a1d95941d49b25030
                    """
                ),
            ],
            transport: [
                (
                    .responder, "4361726c204d656e676572",
                    "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df"
                ),
                (
                    .initiator, "4a65616e2d426170746973746520536179",
                    "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5"
                ),
                (
                    .responder, "457567656e2042f6686d20766f6e2042617765726b",
                    "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f"
                ),
            ]
        ),
        // Test vectors of flynn/noise.
        Vector(
            testDescription: "flynn/noise without payloads",
            keys: (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
            ),
            ephemeralKeys: (
                "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
                "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60"
            ),
            prologue: "",
            handshake: [
                ("", "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"),
                (
                    "",
                    """
                    64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484663414af878d3e46a2
                    f58911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff4560a34e36ea82109f26cf2e5a5caf992b
                    608d55c747f615e5a3425a7a19eefb8f
                    """
                ),
                (
                    "",
                    """
                    87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d97e5ea11b16f39687
                    10b23a3be3202dc1b5e1ce3c963347491e74f5c0768a9b42
                    """
                ),
            ],
            transport: [
                (
                    .initiator, "79656c6c6f777375626d6172696e65",
                    "a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6"
                ),
                (
                    .responder, "7375626d6172696e6579656c6c6f77",
                    "2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521"
                ),
            ]
        ),
        Vector(
            testDescription: "flynn/noise with prologue and payloads",
            keys: (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
            ),
            ephemeralKeys: (
                "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
                "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60"
            ),
            prologue: "6e6f74736563726574",
            handshake: [
                (
                    "746573745f6d73675f30",
                    "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254746573745f6d73675f30"
                ),
                (
                    "746573745f6d73675f31",
                    """
                    64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484663414af878d3e46a2
                    f58911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff4545958c588d17d6373e0c1dcfa3755d37
                    f50cbca216483ac56bcc98f5095870aa814ba40c08079c11f087
                    """
                ),
                (
                    "746573745f6d73675f32",
                    """
                    87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d9c1e9a1a313d02b78
                    871cfd178a521a4c7c7377a2f4f9144b2f0ccedc84d379151b466741e4b266db6023
                    """
                ),
            ],
            transport: [
                (
                    .initiator, "79656c6c6f777375626d6172696e65",
                    "a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6"
                ),
                (
                    .responder, "7375626d6172696e6579656c6c6f77",
                    "2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521"
                ),
            ]
        ),
    ]

    @Test(arguments: vectors) func `its messages are those of the test vectors`(vector: Vector) throws {
        func side(_ role: NoiseXX.Role, _ key: String, _ ephemeral: String) -> NoiseXX {
            NoiseXX(role, staticKey: pair(key), ephemeral: pair(ephemeral), prologue: bytes(vector.prologue))
        }
        var initiator = side(.initiator, vector.keys.initiator, vector.ephemeralKeys.initiator)
        var responder = side(.responder, vector.keys.responder, vector.ephemeralKeys.responder)
        for (index, step) in vector.handshake.enumerated() {
            let isInitiators = index % 2 == 0
            #expect(initiator.writesNext == isInitiators && responder.writesNext == !isInitiators)
            let message =
                try isInitiators
                ? initiator.write(bytes(step.payload)) : responder.write(bytes(step.payload))
            #expect(message == bytes(step.message))
            let payload = try isInitiators ? responder.read(message) : initiator.read(message)
            #expect(payload == bytes(step.payload))
        }
        #expect(initiator.isDone && responder.isDone)
        #expect(initiator.remoteStatic == pair(vector.keys.responder).publicKey)
        #expect(responder.remoteStatic == pair(vector.keys.initiator).publicKey)
        #expect(initiator.handshakeHash == responder.handshakeHash)
        if let hash = vector.hash { #expect(initiator.handshakeHash == bytes(hash)) }

        var sessions = (initiator: try initiator.session(), responder: try responder.session())
        for step in vector.transport {
            let isInitiators = step.role == .initiator
            let content = bytes(step.payload)
            var sealed =
                try isInitiators
                ? sessions.initiator.sealed(content) : sessions.responder.sealed(content)
            #expect(sealed == lengthAnd(bytes(step.message)))
            let count = sealed.count - 2
            let opened =
                try isInitiators
                ? sessions.responder.open(&sealed, at: 2, count: count)
                : sessions.initiator.open(&sealed, at: 2, count: count)
            #expect(Array(sealed[opened]) == content)
        }
    }

    @Test func `calls out of turn end the handshake`() throws {
        var initiator = NoiseXX(.initiator, staticKey: KeyPair())
        #expect(throws: ParleyError.self) { try initiator.session() }
        _ = try initiator.write()
        #expect(throws: ParleyError.self) { try initiator.write() }
        // It stays ended, also for what would have been right.
        var responder = NoiseXX(.responder, staticKey: KeyPair())
        #expect(throws: ParleyError.self) { try responder.write() }
        let first = try NoiseXX(.initiator, staticKey: KeyPair()).firstMessage()
        let error = #expect(throws: ParleyError.self) { try responder.read(first) }
        #expect(error?.code == .securityFailed)
        #expect(error?.message.contains("turn") == true)
    }

    /// What an attacker may do to the message with that index: the first is 0.
    @Test(arguments: 0..<3) func `a changed message fails at the latest at the end`(index: Int) throws {
        let length = try handshake { $1 }.messages[index].count
        for position in 0..<length {
            // The first message is not authenticated until the second.
            #expect(throws: ParleyError.self, "byte \(position)") {
                try handshake { number, message in
                    var message = message
                    if number == index { message[position] ^= 0x01 }
                    return message
                }
            }
        }
        for count in 0..<length {
            #expect(throws: ParleyError.self, "\(count) bytes") {
                try handshake { $0 == index ? Array($1.prefix(count)) : $1 }
            }
        }
        #expect(throws: ParleyError.self) { try handshake { $0 == index ? $1 + [0] : $1 } }
    }

    /// Points of low order on Curve25519, which make any shared secret zero: RFC 7748, section 6.1, and
    /// <https://cr.yp.to/ecdh.html#validate>.
    @Test(arguments: [
        String(repeating: "00", count: 32),
        "01" + String(repeating: "00", count: 31),
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ])
    func `a key of low order ends the handshake`(point: String) throws {
        #expect(Sodium.agree(KeyPair().secret, with: bytes(point)) == nil)
        var responder = NoiseXX(.responder, staticKey: KeyPair())
        _ = try responder.read(bytes(point))
        let error = #expect(throws: ParleyError.self) { try responder.write() }
        #expect(error?.message.contains("low order") == true)
        // The other way round.
        var initiator = NoiseXX(.initiator, staticKey: KeyPair())
        _ = try initiator.write()
        let answer = #expect(throws: ParleyError.self) {
            try initiator.read(bytes(point) + [UInt8](repeating: 0, count: 64))
        }
        #expect(answer?.message.contains("low order") == true)
    }

    /// Both static keys are proven: who shows another's key cannot go on.
    @Test func `another's static key is of no use without its private half`() throws {
        let victim = KeyPair()
        var responder = NoiseXX(.responder, staticKey: KeyPair())
        var thief = NoiseXX(
            .initiator,
            staticKey: KeyPair(secret: KeyPair().secret, publicKey: victim.publicKey)
        )
        _ = try responder.read(thief.write())
        _ = try thief.read(responder.write())
        let third = try thief.write()
        #expect(throws: ParleyError.self) { try responder.read(third) }
    }

    @Test func `sessions of different handshakes share nothing`() throws {
        let (keys, other) = ((KeyPair(), KeyPair()), KeyPair())
        let one = try handshake(keys) { $1 }
        let another = try handshake(keys) { $1 }
        #expect(one.hash != another.hash)
        #expect(try handshake((keys.0, other)) { $1 }.hash != one.hash)
        var sender = one.sessions.initiator
        var receiver = another.sessions.responder
        var sealed = try sender.sealed([1, 2, 3])
        #expect(throws: ParleyError.self) { try receiver.open(&sealed, at: 2, count: sealed.count - 2) }
    }
}

@Suite struct NoiseSessionTests {
    @Test(arguments: [1, 2, 100, 65_518, 65_519, 65_520, 131_038, 131_039, 200_000])
    func `a flush becomes as few messages as can be`(count: Int) throws {
        var (sender, receiver) = try sessions()
        let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let sealed = try sender.sealed(content, after: [9])
        let messages = (count + 65_518) / 65_519
        #expect(sealed.count == 1 + count + messages * 18)
        #expect(try receiver.openAll(sealed.dropFirst()) == content)
    }

    @Test func `no bytes are no message`() throws {
        var (sender, _) = try sessions()
        #expect(try sender.sealed([]).isEmpty)
    }

    /// The wire form allows an empty message; it means nothing.
    @Test func `an empty message opens to nothing`() throws {
        var sending = CipherState(key: Secret(random: 32))
        var session = NoiseSession(sending: sending, receiving: sending)
        var sealed = [UInt8](repeating: 0, count: 16)
        try sending.seal(&sealed, at: 0, count: 0)
        #expect(try session.open(&sealed, at: 0, count: 16).isEmpty)
    }

    @Test func `every changed byte of a message is noticed`() throws {
        let (sender, receiver) = try sessions()
        var sealing = sender
        let sealed = try sealing.sealed([UInt8](repeating: 7, count: 40))
        for position in 2..<sealed.count {
            for bit in 0..<8 {
                var changed = sealed
                changed[position] ^= 1 << UInt8(bit)
                var opening = receiver
                let error = #expect(throws: ParleyError.self, "byte \(position)") {
                    try opening.open(&changed, at: 2, count: changed.count - 2)
                }
                #expect(error?.code == .securityFailed)
            }
        }
        for count in 0..<sealed.count - 2 {
            var opening = receiver
            var copy = sealed
            #expect(throws: ParleyError.self, "\(count) bytes") {
                try opening.open(&copy, at: 2, count: count)
            }
        }
        var opening = receiver
        #expect(try opening.openAll(sealed[...]) == [UInt8](repeating: 7, count: 40))
    }

    @Test func `messages that are repeated, left out or reversed are noticed`() throws {
        let (sender, receiver) = try sessions()
        var sealing = sender
        let messages = [try sealing.sealed([0]), try sealing.sealed([1]), try sealing.sealed([2])]
        for order in [[0, 0], [1], [0, 2], [1, 0], [2, 1, 0]] {
            var opening = receiver
            #expect(throws: ParleyError.self, "\(order)") {
                _ = try opening.openAll(order.flatMap { messages[$0] }[...])
            }
        }
        // What this side has sent does not come back.
        var own = sender
        #expect(throws: ParleyError.self) { try own.openAll(messages[0][...]) }
    }

    @Test func `the last number is never used`() throws {
        var cipher = CipherState(key: Secret(random: 32), nonce: .max - 1)
        var buffer = [UInt8](repeating: 1, count: 17)
        try cipher.seal(&buffer, at: 0, count: 1)
        #expect(cipher.nonce == .max)
        for _ in 0..<2 {
            let error = #expect(throws: ParleyError.self) { try cipher.seal(&buffer, at: 0, count: 1) }
            #expect(error?.code == .securityFailed)
            #expect(throws: ParleyError.self) { try cipher.open(&buffer, at: 0, count: 17) }
        }
    }

    /// The sealed bytes come from another implementation (Python's cryptography, which uses OpenSSL).
    @Test func `the number is little-endian after 32 zero bits`() throws {
        var key = (0..<32).map { UInt8($0) }
        var cipher = CipherState(key: Secret(wiping: &key), nonce: 0x0102_0304_0506_0708)
        #expect(key == [UInt8](repeating: 0, count: 32))
        var buffer = [UInt8]("parley".utf8) + [UInt8](repeating: 0, count: 16)
        try cipher.seal(&buffer, at: 0, count: 6, associated: [1, 2])
        #expect(buffer == bytes("8028df88ce40a22d7fcdc9b9130524b320ceb7d767b6"))
    }
}

/// The bytes of a text in hexadecimal, which may have line ends in it.
func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.filter { !$0.isWhitespace }.map { UInt8($0.hexDigitValue!) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

private func pair(_ hex: String) -> KeyPair {
    var key = bytes(hex)
    return KeyPair(Secret(wiping: &key))
}

private func lengthAnd(_ message: [UInt8]) -> [UInt8] {
    [UInt8(message.count >> 8), UInt8(message.count & 0xff)] + message
}

/// Runs a handshake whose messages pass through `change`, which gets their number, and one message each way.
@discardableResult
private func handshake(
    _ keys: (KeyPair, KeyPair) = (KeyPair(), KeyPair()),
    _ change: (Int, [UInt8]) -> [UInt8]
) throws -> (
    messages: [[UInt8]], hash: [UInt8], sessions: (initiator: NoiseSession, responder: NoiseSession)
) {
    var initiator = NoiseXX(.initiator, staticKey: keys.0)
    var responder = NoiseXX(.responder, staticKey: keys.1)
    var messages = [try initiator.write()]
    _ = try responder.read(change(0, messages[0]))
    messages.append(try responder.write([UInt8]("payload".utf8)))
    _ = try initiator.read(change(1, messages[1]))
    messages.append(try initiator.write([UInt8]("payload".utf8)))
    _ = try responder.read(change(2, messages[2]))
    let hash = initiator.handshakeHash
    return (messages, hash, (try initiator.session(), try responder.session()))
}

private func sessions() throws -> (NoiseSession, NoiseSession) {
    let sessions = try handshake { $1 }.sessions
    return (sessions.initiator, sessions.responder)
}

extension NoiseXX {
    fileprivate func firstMessage() throws -> [UInt8] {
        var copy = self
        return try copy.write()
    }
}

extension NoiseSession {
    fileprivate mutating func seal(
        _ bytes: Span<UInt8>,
        into output: inout [UInt8]
    ) throws(ParleyError) { try sending.sealMessages(bytes, into: &output) }

    fileprivate mutating func open(
        _ buffer: inout [UInt8],
        at start: Int,
        count: Int
    ) throws(ParleyError) -> Range<Int> { try receiving.openMessage(&buffer, at: start, count: count) }

    /// The content as messages with their lengths, after other bytes.
    mutating func sealed(_ content: [UInt8], after others: [UInt8] = []) throws -> [UInt8] {
        var output = others
        try seal(content.span, into: &output)
        return output
    }

    /// The content of messages with their lengths.
    mutating func openAll(_ bytes: ArraySlice<UInt8>) throws -> [UInt8] {
        var (rest, content) = (bytes, [UInt8]())
        while let high = rest.popFirst(), let low = rest.popFirst() {
            let count = Int(high) << 8 | Int(low)
            var message = Array(rest.prefix(count))
            content += message[try open(&message, at: 0, count: count)]
            rest = rest.dropFirst(count)
        }
        return content
    }
}
