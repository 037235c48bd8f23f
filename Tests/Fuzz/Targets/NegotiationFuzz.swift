#if !FUZZ
    @testable import Parley
#endif

/// Fuzzes both sides of the negotiation: outcome, answers and what is left do not depend on how the bytes
/// arrive, and agree with a second implementation that reads all of them at once.
func fuzzNegotiation(_ input: FuzzInput) {
    let proposals = Array(["/a", "/noise", "/yamux/1.0.0"].prefix(Int(input.variant & 3) + 1).prefix(3))
    for isDialer in [true, false] {
        let whole = NegotiationRun(of: input.wire, script: [], proposals, isDialer: isDialer)
        whole.requireEqual(NegotiationRun(model: input.wire, proposals, isDialer: isDialer), "by the model")
        let script = input.script.isEmpty ? Reads.byteByByte : input.script
        whole.requireEqual(
            NegotiationRun(of: input.wire, script: script, proposals, isDialer: isDialer),
            "in pieces"
        )
    }
}

private struct NegotiationRun {
    private var chosen: String?
    private var isUnsupported = false
    private var isViolation = false
    private var answers = WireBuffer()
    /// Where the rest begins, once there is an outcome.
    private var end: Int?

    /// What the sides themselves say.
    init(of wire: ArraySlice<UInt8>, script: ArraySlice<UInt8>, _ names: [String], isDialer: Bool) {
        var dialer = NegotiationDialer(names)
        var listener = NegotiationListener()
        var start = wire.startIndex
        for readEnd in Reads(of: wire, script: script) {
            var read = wire[start..<readEnd]
            start = readEnd
            do throws(ParleyError) {
                if isDialer {
                    let outcome = try dialer.receive(&read, into: &answers)
                    if case .chosen(let name) = outcome { chosen = name }
                    isUnsupported = outcome == .unsupported
                } else {
                    chosen = try listener.receive(&read, isSupported: names.contains, into: &answers)
                }
            } catch {
                require(error.code == .protocolViolation, "\(error)")
                isViolation = true
                return
            }
            if chosen != nil || isUnsupported {
                end = read.startIndex
                return
            }
            require(read.isEmpty, "\(read.count) bytes are left, and no outcome")
        }
    }

    /// What the specification says.
    init(model wire: ArraySlice<UInt8>, _ names: [String], isDialer: Bool) {
        var lines = 0
        var refused = 0
        var rest = wire
        while let line = Self.line(&rest) {
            guard let line else {
                isViolation = true
                return
            }
            lines += 1
            if lines == 1 {
                guard line.elementsEqual("/multistream/1.0.0".utf8) else {
                    isViolation = true
                    return
                }
                if !isDialer { Multistream.write("/multistream/1.0.0", into: &answers) }
            } else if isDialer {
                if line.elementsEqual(names[refused].utf8) { chosen = names[refused] }
                if chosen == nil {
                    isViolation = !line.elementsEqual("na".utf8)
                    refused += 1
                    isUnsupported = !isViolation && refused == names.count
                    if !isViolation, !isUnsupported { Multistream.write(names[refused], into: &answers) }
                }
            } else {
                chosen = names.first { line.elementsEqual($0.utf8) }
                refused += chosen == nil ? 1 : 0
                isViolation = refused == 64
                if !isViolation { Multistream.write(chosen ?? "na", into: &answers) }
            }
            if isViolation { return }
            if chosen != nil || isUnsupported {
                end = rest.startIndex
                return
            }
        }
    }

    /// The next line: nil when it has not arrived whole, a line of nil when it breaks the rules.
    private static func line(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>?? {
        guard let first = rest.first else { return .none }
        var length = Int(first)
        var lengthBytes = 1
        if first >= 0x80 {
            guard let second = rest.dropFirst().first else { return .none }
            guard (1...0x7f).contains(second) else { return .some(nil) }
            length = Int(first) - 0x80 + 0x80 * Int(second)
            lengthBytes = 2
        }
        guard (1...1_024).contains(length) else { return .some(nil) }
        guard rest.count >= lengthBytes + length else { return .none }
        let line = rest.dropFirst(lengthBytes).prefix(length)
        rest = rest.dropFirst(lengthBytes + length)
        guard line.firstIndex(of: 0x0a) == line.endIndex - 1 else { return .some(nil) }
        return line.dropLast()
    }

    func requireEqual(_ other: NegotiationRun, _ how: String) {
        require(chosen == other.chosen, "\(how): \(other.chosen ?? "-"), not \(chosen ?? "-")")
        require(isUnsupported == other.isUnsupported && isViolation == other.isViolation, how)
        require(end == other.end, "\(how): the rest begins elsewhere")
        require(isViolation || answers.contiguous == other.answers.contiguous, "\(how): the answers differ")
    }
}
