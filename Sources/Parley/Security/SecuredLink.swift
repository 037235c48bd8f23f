/// A link that nobody reads or changes on its way: a ``Link`` for the connection above it, and the
/// ``LinkOwner`` of the link below it, which carries sealed messages. The loop's thread only.
///
/// ``beginHandshake()`` comes first; the owner then hears ``SecuredLinkOwner/linkIsSecured(with:)``, or
/// the end. Nothing is passed on before, and no byte whose tag was not verified, ever.
///
/// What was sealed is never sealed again: when the link below takes only a part, it keeps the rest, and
/// nothing further is written until it has written that.
///
/// `@unchecked Sendable`: everything here belongs to the thread of `loop`.
final class SecuredLink: @unchecked Sendable {
    let lower: any Link
    let loop: EventLoop
    let turns: SharedTurns<SecuredLink>
    /// The side of the negotiations that precede and follow the handshake; nil without any.
    let side: LinkNegotiation.Side?
    /// Kept alive by the open link below, and released when that is closed.
    private(set) var owner: (any SecuredLinkOwner)?
    var phase: Phase
    var input = SecureInput()
    /// Content that was opened and not passed on: the owner read no more.
    var ahead = ByteQueue()
    /// Whether the last read filled the loop's shared buffer. The next one goes straight to ``input`` then,
    /// and the owner keeps what is opened there: no copy.
    private var expectsMuch = false
    /// Whether the owner wants to be passed what arrives.
    private var isReading = false
    /// Whether content is being passed on. What the owner calls meanwhile must not pass on more.
    private var isPassingOn = false
    /// Why nothing more will arrive. It is reported after everything that has arrived.
    private var end: ParleyError?
    /// The part of a file that is still to be sealed and written.
    private var file: FileRange?
    /// What the link below has received and written before the other side was proven. From then on
    /// ``proven`` counts.
    private(set) var wireBytes: (received: UInt64, sent: UInt64) = (0, 0)
    /// What the link below has accepted and not written yet.
    private var writing = 0
    var proven: Connection.Proven?

    enum Phase {
        /// Both sides agree on the protocol of the handshake.
        indirect case agreeing(LinkNegotiation, any SecureSession)
        case handshake(any SecureSession)
        /// The other side is proven. Both agree on the form of the streams, inside the link.
        indirect case choosing(LinkNegotiation, any SecureSession)
        /// The link below has not written all of what a step says. It is not read meanwhile.
        indirect case writing(then: Phase)
        case open(any SecureSession)
        /// Closed, or failed: nothing is passed on any more.
        case over
    }

    init(
        over lower: any Link,
        session: any SecureSession,
        negotiatingAs side: LinkNegotiation.Side? = nil,
        turns: SharedTurns<SecuredLink>,
        on loop: EventLoop
    ) {
        self.lower = lower
        self.loop = loop
        self.turns = turns
        self.side = side
        phase =
            if let side { .agreeing(LinkNegotiation(of: LibP2P.noise, as: side), session) } else {
                .handshake(session)
            }
    }

    /// Sets the owner, which hears about reads, writes and the end.
    func setOwner(_ owner: any SecuredLinkOwner) { self.owner = owner }

    /// Forgets the owner: its connection was given up before it began.
    func disown() { owner = nil }
}

/// The owner of a ``SecuredLink``.
protocol SecuredLinkOwner: LinkOwner {
    /// The handshake is complete: the other side has proven that it is this id.
    func linkIsSecured(with proven: Connection.Proven)
    /// The link holds this many bytes of messages that are not complete.
    func linkDidHold(_ bytes: Int)
    /// The link has failed, or has ended before it was secured. The owner closes it.
    func linkDidFail(_ reason: ParleyError)
}

// MARK: - What the owner asks for

extension SecuredLink: Link {
    func startReading() {
        isReading = true
        guard case .open = phase else { return }
        // What is there comes first, and in a later turn: the owner must not be called from inside its own
        // call.
        if input.isEmpty, ahead.isEmpty, end == nil { lower.startReading() } else { goOnLater() }
    }

    func stopReading() {
        isReading = false
        if case .open = phase { lower.stopReading() }
    }

    func write(_ buffer: WireBuffer) throws(ParleyError) -> Bool {
        assert(file == nil, "a write is under way")
        guard case .open(let session) = phase else { throw notOpen }
        guard !buffer.isEmpty else { return true }
        var sealed: [UInt8] = []
        try session.seal(buffer, into: &sealed)
        return try write(sealed: sealed)
    }

    func write(sealed bytes: [UInt8]) throws(ParleyError) -> Bool {
        writing = bytes.count
        guard try lower.write(WireBuffer(bytes)) else { return false }
        sealedIsWritten()
        return true
    }

    private func sealedIsWritten() {
        let bytes = UInt64(writing)
        writing = 0
        if let proven { proven.noteSent(bytes) } else { wireBytes.sent &+= bytes }
    }

    private func noteReceived(_ bytes: UInt64) {
        if let proven { proven.noteReceived(bytes) } else { wireBytes.received &+= bytes }
    }

    /// Reads the file in a worker thread, piece by piece: the kernel cannot seal what it sends. Between two
    /// pieces the loop serves others.
    func write(_ range: FileRange) throws(ParleyError) -> Bool {
        guard case .open = phase else { throw notOpen }
        guard range.count > 0 else { return true }
        file = range
        writePiece()
        return false
    }

    private static let filePieceBytes = 4 * SecureMessage.maxContentBytes

    private func writePiece() {
        guard let range = file else { return }
        let piece = FileRange(range.file, offset: range.offset, count: min(range.count, Self.filePieceBytes))
        let read = loop.offload { () throws(ParleyError) in try piece.read() }
        Task.detached(executorPreference: loop) { [self] in
            let result: Result<[UInt8], ParleyError>
            do throws(ParleyError) { result = .success(try await read.value) } catch {
                result = .failure(error)
            }
            loop.perform { [self] in pieceWasRead(result) }
        }
    }

    private func pieceWasRead(_ result: Result<[UInt8], ParleyError>) {
        guard case .open(let session) = phase, var rest = file else { return }
        do throws(ParleyError) {
            let bytes = try result.get()
            rest.removeFirst(bytes.count)
            file = rest
            var sealed: [UInt8] = []
            sealed.reserveCapacity(SecureMessage.wireBytes(of: bytes.count))
            try session.seal(bytes.span, into: &sealed)
            guard try write(sealed: sealed) else { return }
            if rest.count > 0 { return writePiece() }
            finishWrite(nil)
        } catch { finishWrite(error) }
    }

    private func finishWrite(_ failure: ParleyError?) {
        file = nil
        var none = WireBuffer()
        owner?.linkDidWrite(failure, returning: &none)
    }

    private var notOpen: ParleyError { ParleyError(.closed, "the secured link is not open") }

    var directSocket: Int32? { if case .open = phase { lower.directSocket } else { nil } }

    func shutdown() { lower.shutdown() }

    var status: Health.LinkStatus {
        var status = lower.status
        status.unacknowledgedBytes += unwrittenFileBytes
        return status
    }

    /// The bytes of the current part of a file that the link below does not have yet.
    var unwrittenFileBytes: Int { file?.count ?? 0 }

    var hasUnread: Bool { lower.hasUnread }

    var isAcknowledged: Bool { lower.isAcknowledged }

    func close(abortively: Bool) {
        phase = .over
        isReading = false
        file = nil
        lower.close(abortively: abortively)
    }
}

// MARK: - What the link below reports

extension SecuredLink: LinkOwner {
    func linkWillRead() -> ReadTarget {
        guard expectsMuch, case .open = phase else { return .shared }
        return .frame(input.lend(room: ReadBlock.capacityBytes))
    }

    func linkDidRead(into frame: consuming PeerState.LargeFrame) {
        let read = ReadBlock.capacityBytes - frame.missing
        input.takeBack(frame)
        if read > 0 { didRead(read) }
    }

    func linkDidRead(_ block: ArraySlice<UInt8>) { linkDidRead(block.span) }

    func linkDidRead(_ bytes: Span<UInt8>) {
        input.append(bytes)
        didRead(bytes.count)
    }

    private func didRead(_ bytes: Int) {
        expectsMuch = bytes >= ReadSlab.byteCount
        noteReceived(UInt64(bytes))
        switch phase {
        case .agreeing, .handshake, .choosing: waitForTurn()
        case .open: passOn()
        case .writing, .over: break
        }
    }

    /// The most messages that are passed on in one turn: each costs about as much as a whole read of a plain
    /// link, and a read may bring thousands of small ones.
    private static let messagesPerTurn = 64

    /// Opens whole messages and passes their content on, as long as the owner reads.
    private func passOn() {
        guard !isPassingOn else { return }
        isPassingOn = true
        passOnAhead()
        var messagesLeft = Self.messagesPerTurn
        if ahead.isEmpty {
            // Taken out, so that the owner may call this link meanwhile.
            var taken = SecureInput()
            swap(&taken, &input)
            do throws(ParleyError) { try passOn(&taken, atMost: &messagesLeft) } catch {
                // What was opened before comes first.
                taken = SecureInput()
                end = error
            }
            taken.compact()
            swap(&taken, &input)
        }
        isPassingOn = false
        guard case .open = phase else { return }
        owner?.linkDidHold(input.count + ahead.count)
        if messagesLeft == 0 { passOnLater() } else { reportEnd() }
    }

    private func passOn(_ taken: inout SecureInput, atMost messagesLeft: inout Int) throws(ParleyError) {
        // Content that the owner gets as it is, without a copy, and what follows that. It is passed on at the
        // end: while somebody keeps it, opening another message in the same memory would copy all of it.
        var opened: [Range<Int>] = []
        defer {
            for content in opened {
                let bytes = taken.bytes[content]
                ahead.append(taken.isWorthKeeping(content) ? bytes : Array(bytes)[...])
            }
            passOnAhead()
        }
        while messagesLeft > 0, isReading, case .open(let session) = phase {
            guard case .message(let place, let count) = taken.next() else { return }
            messagesLeft -= 1
            let content = try taken.withBytes { (bytes) throws(ParleyError) in
                try session.open(&bytes, at: place, count: count)
            }
            if opened.isEmpty, !taken.isWorthKeeping(content) {
                owner?.take(taken.bytes.span.extracting(content)) { [self] in isOpen }
            } else {
                opened.append(content)
            }
        }
    }

    private var isOpen: Bool { if case .open = phase { true } else { false } }

    /// Passes on what was opened before.
    private func passOnAhead() {
        while isReading, isOpen, let content = ahead.popFirst() { owner?.take(content) { [self] in isOpen } }
    }

    /// Lets others have their turn before more is passed on. Nothing is read meanwhile.
    private func passOnLater() {
        lower.stopReading()
        goOnLater()
    }

    /// Passes on what is there, in a later turn, and reads on.
    private func goOnLater() {
        loop.execute { [self] in
            guard isReading, case .open = phase else { return }
            lower.startReading()
            passOn()
        }
    }

    func linkDidEnd(_ reason: ParleyError) {
        switch phase {
        case .over: return
        case .agreeing, .handshake, .choosing, .writing: fail(reason)
        case .open:
            end = reason
            passOn()
        }
    }

    /// Reports that nothing more arrives, once everything that did is passed on.
    private func reportEnd() {
        guard let reason = end, isReading, ahead.isEmpty else { return }
        guard reason.code != .securityFailed else { return fail(reason) }
        end = nil
        isReading = false
        guard reason.code == .endOfStream, !input.isEmpty else { return owner?.linkDidEnd(reason) ?? () }
        owner?.linkDidEnd(
            ParleyError(.truncated, "the connection ended in the middle of a sealed message")
        )
    }

    func linkDidWrite(_ failure: ParleyError?, returning buffer: inout WireBuffer) {
        if let failure {
            if case .writing = phase { return fail(failure) }
            file = nil
            owner?.linkDidWrite(failure, returning: &buffer)
            return
        }
        sealedIsWritten()
        if case .writing = phase { return stepIsWritten() }
        guard let rest = file else { return owner?.linkDidWrite(nil, returning: &buffer) ?? () }
        if rest.count > 0 { writePiece() } else { finishWrite(nil) }
    }

    func linkDidClose() {
        phase = .over
        owner?.linkDidClose()
        owner = nil
    }

    /// Ends the link: nothing more is passed on.
    func fail(_ reason: ParleyError) {
        phase = .over
        input = SecureInput()
        ahead.removeAll()
        lower.stopReading()
        owner?.linkDidFail(reason)
    }
}
