// From a new secured link to an open one: the handshake, and what both sides negotiate before and after it.
// The loop's thread only. Each message waits for its turn, and so does each read of lines.

extension SecuredLink {
    /// The most steps of handshakes in a turn of a loop. One takes up to 0.2 ms of a core, and a stranger
    /// needs 32 bytes to ask for it.
    static let stepsPerTurn = 4

    /// What a step of the handshake says, and what it leads to.
    private struct Step {
        var output: [UInt8]
        let next: Phase
    }

    /// Begins the handshake, and reads until it is over.
    func beginHandshake() {
        loop.assertIsCurrent()
        do throws(ParleyError) {
            switch phase {
            case .agreeing(let negotiation, _):
                try take(Step(output: negotiation.opening.contiguous, next: phase))
            case .handshake(let session): try take(begin(session))
            case .choosing, .writing, .open, .over: return
            }
        } catch { fail(error) }
    }

    /// Makes one step with what has arrived.
    ///
    /// - Returns: whether there was anything to work on.
    func makeStep() -> Bool {
        do throws(ParleyError) {
            guard let step = try nextStep() else { return false }
            try take(step)
        } catch { fail(error) }
        return true
    }

    private func nextStep() throws(ParleyError) -> Step? {
        switch phase {
        case .agreeing(let negotiation, let session): return try agree(negotiation, session)
        case .handshake(let session): return try advance(session)
        case .choosing(let negotiation, let session): return try choose(negotiation, session)
        case .writing, .open, .over: return nil
        }
    }

    /// Says what a step has to say. Nothing follows before that is written.
    private func take(_ step: Step) throws(ParleyError) {
        phase = .writing(then: step.next)
        if step.output.isEmpty { return stepIsWritten() }
        if try write(sealed: step.output) { stepIsWritten() }
    }

    func stepIsWritten() {
        guard case .writing(let next) = phase else { return }
        phase = next
        guard case .open = next, let proven else { return goOn() }
        // An idle link keeps nothing of its handshake.
        if input.isEmpty { input = SecureInput() }
        owner?.linkIsSecured(with: proven)
    }

    /// Waits for a turn to take what has arrived, and reads no more meanwhile.
    func waitForTurn() {
        lower.stopReading()
        turns.add(self)
    }

    /// Takes what has arrived, in another turn, or reads more.
    private func goOn() { input.isEmpty ? lower.startReading() : waitForTurn() }

    /// Takes lines of the negotiation that precedes the handshake.
    private func agree(
        _ negotiation: LinkNegotiation,
        _ session: any SecureSession
    ) throws(ParleyError) -> Step? {
        guard !input.isEmpty else {
            lower.startReading()
            return nil
        }
        var negotiation = negotiation
        var answers = WireBuffer()
        let isAgreed = try input.take { (rest) throws(ParleyError) in
            try negotiation.receive(&rest, into: &answers)
        }
        guard isAgreed else {
            return Step(output: answers.contiguous, next: .agreeing(negotiation, session))
        }
        return try begin(session, after: answers.contiguous)
    }

    /// Says what the handshake begins with, if this side initiates it.
    private func begin(_ session: any SecureSession, after output: [UInt8] = []) throws(ParleyError) -> Step {
        var step = Step(output: output, next: .handshake(session))
        try session.begin(into: &step.output)
        return step
    }

    /// Takes a message of the handshake.
    private func advance(_ session: any SecureSession) throws(ParleyError) -> Step? {
        guard let place = try nextMessage(atMost: SecureMessage.maxHandshakeBytes) else { return nil }
        var output: [UInt8] = []
        guard let shown = try session.advance(Array(input.bytes[place]), into: &output) else {
            return Step(output: output, next: .handshake(session))
        }
        proven = Connection.Proven(
            shown.id,
            session,
            received: wireBytes.received,
            sent: wireBytes.sent
        )
        guard let side, !LibP2P.isStreamMuxerSettled(by: shown.streamMuxers) else {
            return Step(output: output, next: .open(session))
        }
        let negotiation = LinkNegotiation(of: LibP2P.yamux, as: side)
        try session.seal(negotiation.opening.contiguous.span, into: &output)
        return Step(output: output, next: .choosing(negotiation, session))
    }

    /// Takes a sealed message of the negotiation that follows the handshake.
    private func choose(
        _ negotiation: LinkNegotiation,
        _ session: any SecureSession
    ) throws(ParleyError) -> Step? {
        guard let place = try nextMessage(atMost: SecureMessage.maxBytes) else { return nil }
        let content = try input.withBytes { (bytes) throws(ParleyError) in
            try session.open(&bytes, at: place.lowerBound, count: place.count)
        }
        var negotiation = negotiation
        var rest = input.bytes[content]
        var answers = WireBuffer()
        let isChosen = try negotiation.receive(&rest, into: &answers)
        if isChosen { ahead.append(Array(rest)[...]) }
        var output: [UInt8] = []
        try session.seal(answers.contiguous.span, into: &output)
        return Step(output: output, next: isChosen ? .open(session) : .choosing(negotiation, session))
    }

    /// The place of the next message; nil, and reading goes on, until it is there.
    private func nextMessage(atMost limit: Int) throws(ParleyError) -> Range<Int>? {
        switch input.next(atMost: limit) {
        case .unfinished:
            lower.startReading()
            return nil
        case .tooLong(let count):
            throw ParleyError(.securityFailed, "the handshake has a message of \(count) bytes")
        case .message(let place, let count): return place..<place + count
        }
    }
}
