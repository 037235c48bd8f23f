#if !FUZZ
    @testable import Parley
    @testable import ParleyNoise
#endif

/// Fuzzes the messages of a secured link after its handshake: what is shown is what the other side has
/// sealed, from the beginning and in order, and nothing is shown before its tag is verified.
///
/// The wire bytes are what the other side says, in messages of a size that the variant chooses; the script
/// changes them on their way. With the highest bit of the variant the wire bytes arrive as they are.
func fuzzSecuredFrames(_ input: FuzzInput) {
    let (sender, receiver) = NoiseParties.linked()
    var sent: [[UInt8]] = []
    var sealed: [[UInt8]] = []
    if input.variant & 0x80 == 0 {
        let size = 1 + Int(input.variant & 0x3f) * (input.variant & 0x40 == 0 ? 1 : 1_024)
        var rest = input.wire
        while !rest.isEmpty, sent.count < 64 {
            let (messages, contents) = seal(Array(rest.prefix(size)), by: sender)
            sealed += messages
            sent += contents
            rest = rest.dropFirst(size)
        }
    } else {
        sealed = [Array(input.wire)]
    }
    let original = sealed
    NoiseChanges(input.script).apply(to: &sealed)
    let pieces = input.variant & 1 == 0 ? [] : input.script
    let shown = Shown(of: Array(sealed.joined())[...], in: pieces, by: receiver)
    require(sent.starts(with: shown.contents), "something is shown that was not said")
    guard sealed == original, input.variant & 0x80 == 0 else { return }
    require(shown.failure == nil && shown.contents == sent, "what was said is not shown: \(shown)")
    require(shown.held == 0, "\(shown.held) bytes are held behind the last message")
}

/// Seals bytes.
///
/// - Returns: the messages with their lengths, and the content of each.
private func seal(_ bytes: [UInt8], by link: NoiseLink) -> ([[UInt8]], [[UInt8]]) {
    var output: [UInt8] = []
    do throws(ParleyError) { try link.seal(bytes.span, into: &output) } catch { fatalError("\(error)") }
    var (messages, contents): ([[UInt8]], [[UInt8]]) = ([], [])
    var rest = output[...]
    var said = bytes[...]
    while rest.count >= SecureMessage.lengthBytes {
        let count =
            SecureMessage.lengthBytes + Int(rest[rest.startIndex]) << 8 + Int(rest[rest.startIndex + 1])
        messages.append(Array(rest.prefix(count)))
        rest = rest.dropFirst(count)
        let content = count - SecureMessage.lengthBytes - SecureMessage.tagBytes
        require(content > 0 && content <= SecureMessage.maxContentBytes, "a message of \(content) bytes")
        contents.append(Array(said.prefix(content)))
        said = said.dropFirst(content)
    }
    require(rest.isEmpty && said.isEmpty, "not everything is sealed")
    return (messages, contents)
}

/// What a link shows of bytes that arrive, as ``SecuredLink`` takes them.
private struct Shown {
    var contents: [[UInt8]] = []
    var failure: ParleyError?
    /// The bytes of unfinished messages.
    var held = 0

    init(of wire: ArraySlice<UInt8>, in script: ArraySlice<UInt8>, by link: NoiseLink) {
        var input = SecureInput()
        var start = wire.startIndex
        for end in Reads(of: wire, script: script) where failure == nil {
            input.append(wire[start..<end].span)
            start = end
            take(from: &input, link)
            input.compact()
        }
        held = input.count
    }

    private mutating func take(from input: inout SecureInput, _ link: NoiseLink) {
        while case .message(let place, let count) = input.next() {
            let before = Array(input.bytes[place..<place + count])
            do throws(ParleyError) {
                let content = try input.withBytes { (bytes) throws(ParleyError) in
                    try link.open(&bytes, at: place, count: count)
                }
                require(content == place..<place + count - SecureMessage.tagBytes, "\(content) is shown")
                contents.append(Array(input.bytes[content]))
            } catch {
                require(error.code == .securityFailed, "\(error)")
                failure = error
                // The message was not opened to find that its tag is wrong.
                let after = input.bytes[place..<place + count]
                let isUntouched = isSame(after, before[...])
                let opened = after.dropLast(SecureMessage.tagBytes)
                require(isUntouched || opened.allSatisfy { $0 == 0 }, "bytes are there whose tag is wrong")
                return requireEnd(link)
            }
        }
    }

    /// An error ends its direction.
    private func requireEnd(_ link: NoiseLink) {
        var bytes = [UInt8](repeating: 0, count: 40)
        if (try? link.open(&bytes, at: 0, count: 40)) != nil { fatalError("a failed link opens a message") }
    }
}
