#if !FUZZ
    @testable import Parley
    @testable import ParleyNoise
#endif

/// Fuzzes the handshake of a secured link: whatever arrives, it is accepted only if it is exactly what the
/// other side has said.
func fuzzNoiseHandshake(_ input: FuzzInput) {
    let isInitiator = input.variant & 1 == 1
    switch input.variant >> 1 & 3 {
    case 0:
        fuzzHandshake(isInitiator, messages: cut(input.wire, script: input.script), variant: input.variant)
    case 1:
        var messages = honest(isInitiator)
        NoiseChanges(input.wire).apply(to: &messages)
        fuzzHandshake(isInitiator, messages: messages, variant: input.variant)
    case 2: fuzzPayload(Array(input.wire))
    default:
        var payload = [NoiseParties.listener.payload]
        NoiseChanges(input.wire).apply(to: &payload)
        fuzzPayload(payload.first ?? [])
    }
}

/// What the other side says to the one that is tried.
private func honest(_ isInitiator: Bool) -> [[UInt8]] {
    let messages = NoiseParties.messages
    return isInitiator ? [messages[1]] : [messages[0], messages[2]]
}

/// The messages that a link finds in bytes that arrive in pieces.
private func cut(_ wire: ArraySlice<UInt8>, script: ArraySlice<UInt8>) -> [[UInt8]] {
    var input = SecureInput()
    var messages: [[UInt8]] = []
    var start = wire.startIndex
    for end in Reads(of: wire, script: script) {
        input.append(wire[start..<end].span)
        start = end
        while case .message(let place, let count) = input.next(atMost: SecureMessage.maxHandshakeBytes) {
            require(count <= SecureMessage.maxHandshakeBytes, "a message of \(count) bytes")
            messages.append(Array(input.bytes[place..<place + count]))
        }
        input.compact()
        require(input.count <= wire.count, "\(input.count) bytes are held of \(wire.count)")
    }
    return messages
}

private func fuzzHandshake(_ isInitiator: Bool, messages: [[UInt8]], variant: UInt8) {
    let (own, other) =
        isInitiator
        ? (NoiseParties.dialer, NoiseParties.listener) : (NoiseParties.listener, NoiseParties.dialer)
    // The dialer may expect the other side, or somebody else.
    let expected: PeerID? = [nil, other.identity.id, own.identity.id, nil][Int(variant >> 3 & 3)]
    let isOther = expected == nil || expected == other.identity.id
    let link = own.link(isInitiator ? .initiator : .responder, expecting: expected)
    if isInitiator {
        require(NoiseParties.started(link) == message(NoiseParties.messages[0]), "the first message")
    }
    var heard: [[UInt8]] = []
    var (failures, isComplete) = (0, false)
    for each in messages {
        // A real link is closed at its first error. A few more messages show that it stays failed.
        guard failures < 4 else { break }
        var output: [UInt8] = []
        do throws(ParleyError) {
            let id = try link.advance(each, into: &output)?.id
            heard.append(each)
            require(failures == 0 && !isComplete, "a message is taken after the end of the handshake")
            require(honest(isInitiator).starts(with: heard) || id == nil, "a changed handshake is accepted")
            guard let id else { continue }
            require(heard == honest(isInitiator), "the handshake is complete too early")
            require(id == other.identity.id && isOther, "\(id) is accepted")
            isComplete = true
        } catch {
            require([.securityFailed, .identityMismatch].contains(error.code), "\(error)")
            require(output.isEmpty, "something is said after an error")
            failures += 1
            if !isComplete { requireFailed(link) }
        }
        // The last message shows who dialed.
        let isShown = isInitiator && !output.isEmpty
        require(!isShown || heard == honest(true) && isOther, "this side's identity is shown to anybody")
    }
}

/// A handshake that is not complete opens and seals nothing.
private func requireFailed(_ link: NoiseLink) {
    var bytes = [UInt8](repeating: 0, count: 40)
    if (try? link.open(&bytes, at: 0, count: 40)) != nil { fatalError("a failed link opens a message") }
    var output: [UInt8] = []
    if (try? link.seal(bytes.span, into: &output)) != nil { fatalError("a failed link seals a message") }
    require(output.isEmpty, "a failed link has sealed \(output.count) bytes")
}

/// Reads what the other side shows of itself, which is encrypted: it may be anything, from somebody who has a
/// key.
private func fuzzPayload(_ bytes: [UInt8]) {
    let key = NoiseParties.listener.staticKey.publicKey
    guard let payload = try? NoisePayload(bytes, staticKey: key) else { return }
    // Nobody else has signed that key.
    require(payload.id == NoiseParties.listener.identity.id, "\(payload.id) is accepted")
    let honest = NoisePayload(NoiseParties.listener.identity, staticKey: key)
    require(payload.signature == honest.signature, "a signature that nobody has made is accepted")
    guard let echo = try? NoisePayload(payload.encoded, staticKey: key) else {
        fatalError("what was read cannot be written")
    }
    require(echo == payload, "written and read again")
}

private func message(_ bytes: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    output.append(lengthOfMessage: bytes.count)
    return output + bytes
}
