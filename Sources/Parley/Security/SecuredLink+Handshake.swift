// From a new secured link to an open one: the handshake, and what both sides negotiate before and after it.
// The loop's thread only. Each message waits for its turn, and so does each read of lines.

extension SecuredLink {
    /// The most steps of handshakes in a turn of a loop. One takes up to 0.2 ms of a core, and a stranger
    /// needs 32 bytes to ask for it.
    static let stepsPerTurn = 4

    /// Begins the handshake, and reads until it is over.
    func beginHandshake() {
        loop.assertIsCurrent()
        do throws(ParleyError) {
            switch phase {
            case .agreeing(let negotiation, _):
                try send(negotiation.opening.contiguous)
                lower.startReading()
            case .handshake(let session): try begin(session)
            case .choosing, .open, .over: return
            }
        } catch { fail(error) }
    }

    /// Makes one step with what has arrived.
    ///
    /// - Returns: whether there was anything to work on.
    func makeStep() -> Bool {
        do throws(ParleyError) {
            switch phase {
            case .agreeing(let negotiation, let session): return try agree(negotiation, session)
            case .handshake(let session): return try advance(session)
            case .choosing(let negotiation, let session, let proven):
                return try choose(negotiation, session, proven)
            case .open, .over: return false
            }
        } catch {
            fail(error)
            return true
        }
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
    ) throws(ParleyError) -> Bool {
        guard !input.isEmpty else {
            lower.startReading()
            return false
        }
        var negotiation = negotiation
        var answers = WireBuffer()
        let isAgreed = try input.take { (rest) throws(ParleyError) in
            try negotiation.receive(&rest, into: &answers)
        }
        try send(answers.contiguous)
        if isAgreed {
            phase = .handshake(session)
            try begin(session)
        } else {
            phase = .agreeing(negotiation, session)
            goOn()
        }
        return true
    }

    /// Says what the handshake begins with, if this side initiates it.
    private func begin(_ session: any SecureSession) throws(ParleyError) {
        var output: [UInt8] = []
        try session.begin(into: &output)
        try send(output)
        goOn()
    }

    /// Takes a message of the handshake.
    private func advance(_ session: any SecureSession) throws(ParleyError) -> Bool {
        guard let place = try nextMessage(atMost: SecureMessage.maxHandshakeBytes) else { return false }
        var output: [UInt8] = []
        let shown = try session.advance(Array(input.bytes[place]), into: &output)
        try send(output)
        guard let shown else {
            goOn()
            return true
        }
        let proven = Connection.Proven(
            shown.id,
            session,
            received: wireBytes.received,
            sent: wireBytes.sent
        )
        self.proven = proven
        guard let side, !LibP2P.isStreamMuxerSettled(by: shown.streamMuxers) else {
            open(session, with: proven)
            return true
        }
        let negotiation = LinkNegotiation(of: LibP2P.yamux, as: side)
        phase = .choosing(negotiation, session, proven)
        try sendSealed(negotiation.opening, by: session)
        goOn()
        return true
    }

    /// Takes a sealed message of the negotiation that follows the handshake.
    private func choose(
        _ negotiation: LinkNegotiation,
        _ session: any SecureSession,
        _ proven: Connection.Proven
    ) throws(ParleyError) -> Bool {
        guard let place = try nextMessage(atMost: SecureMessage.maxBytes) else { return false }
        let content = try input.withBytes { (bytes) throws(ParleyError) in
            try session.open(&bytes, at: place.lowerBound, count: place.count)
        }
        var negotiation = negotiation
        var rest = input.bytes[content]
        var answers = WireBuffer()
        let isChosen = try negotiation.receive(&rest, into: &answers)
        try sendSealed(answers, by: session)
        if isChosen {
            ahead.append(Array(rest)[...])
            open(session, with: proven)
        } else {
            phase = .choosing(negotiation, session, proven)
            goOn()
        }
        return true
    }

    /// Everything is agreed on.
    private func open(_ session: any SecureSession, with proven: Connection.Proven) {
        phase = .open(session)
        // An idle link keeps nothing of its handshake.
        if input.isEmpty { input = SecureInput() }
        owner?.linkIsSecured(with: proven)
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

    private func sendSealed(_ lines: WireBuffer, by session: any SecureSession) throws(ParleyError) {
        var output: [UInt8] = []
        try session.seal(lines.contiguous.span, into: &output)
        try send(output)
    }

    /// Writes a message of the handshake. Each side writes only when the other has read its last one, so
    /// there is room.
    private func send(_ message: [UInt8]) throws(ParleyError) {
        guard !message.isEmpty else { return }
        guard try write(sealed: message) else {
            throw ParleyError(.securityFailed, "the other side does not take the handshake")
        }
    }
}
