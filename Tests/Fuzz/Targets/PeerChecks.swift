#if !FUZZ
    @testable import Parley
#endif

// Checks that what a state hands out agrees with its model.

extension PeerExercise {
    func finishHandshake() {
        state.finishHandshake()
        model.finishHandshake()
        requireSamePhase()
    }

    func closeStream() {
        let wasOpen = model.closeStream()
        require(state.closeStream() == wasOpen, "whether a stream was open is not what it should be")
        requireSamePhase()
    }

    func decode(limit: Int) {
        guard !isOver else { return }
        var delivered = 0
        do throws(ParleyError) {
            let count = try state.decode(limit: limit) { payload, stream in
                delivered += 1
                requireNext(is: payload, stream)
            }
            require(count == delivered, "\(delivered) deliveries are counted as \(count)")
        } catch {
            isOver = true
            return requireViolation(error)
        }
        require(delivered <= limit, "\(delivered) deliveries, the limit was \(limit)")
        require(model.violation == nil, "decoding goes on after a violation")
        if isDecoding, delivered < limit {
            requireNothingHidden()
            require(!state.hasUndecodedMessages, "input waits to be decoded, and cannot be")
        }
        requireSamePhase()
        checkReadAhead()
    }

    /// The bytes of the result, if it has any.
    @discardableResult func read(upTo limit: Int) -> ArraySlice<UInt8>? {
        // A connection that this side has closed does not use the state.
        guard !model.isDropped else { return nil }
        let result: PeerState.ReadResult
        do { result = try state.read(upTo: limit) } catch {
            checkReadFailure(error)
            return nil
        }
        require(model.violation == nil || model.phase == .handshake, "\(result) after a violation")
        switch result {
        case .bytes(let bytes):
            require(model.phase == .handshake || model.phase == .stream, "\(bytes) read in \(model.phase)")
            require(!bytes.isEmpty && bytes.count <= limit, "\(bytes.count) bytes read, not 1...\(limit)")
            do { try model.read(bytes) } catch { fatalError("\(bytes) read, though \(error)") }
            return bytes
        case .end: checkReadEnd()
        case .wait: checkReadWait()
        }
        return nil
    }

    /// A reader that wants more bytes than there are is cancelled, perhaps after the stream was closed.
    func readAndPutBack(_ limit: Int, closing: Bool) {
        var collected: ArraySlice<UInt8> = []
        for _ in 0..<3 {
            guard let bytes = read(upTo: limit) else { break }
            collected += bytes
        }
        if closing { closeStream() }
        guard !model.isDropped else { return }
        state.putBack(collected)
        model.putBack(collected)
        checkReadAhead()
    }
}

// MARK: - Reads without bytes

extension PeerExercise {
    private var isDecoding: Bool { model.phase == .messages || model.phase == .discarding }

    private var isDelimitedStream: Bool { model.phase == .stream && model.decoder.streamForm == .delimited }

    private func checkReadEnd() {
        if isDelimitedStream {
            requireNoStreamBytes()
            require(model.streamEnd == .streamEnded, "a stream ends at \(model.streamEnd as Any)")
        } else {
            require(model.inputEnd?.code == .endOfStream, "an end, though more may come")
            requireNothingToRead()
        }
    }

    private func checkReadWait() {
        if isDecoding {
            require(model.inputEnd == nil || state.hasUndecodedMessages, "a reader waits for ever")
            return
        }
        require(model.inputEnd == nil, "a reader waits for ever")
        if isDelimitedStream {
            requireNoStreamBytes()
            require(model.streamEnd == nil, "a reader waits after \(model.streamEnd as Any)")
        } else {
            requireNothingToRead()
        }
        require(state.wantsInput(isReading: false), "a reader waits, and nothing is read from the socket")
    }

    private func checkReadFailure(_ error: ParleyError) {
        if model.violation == nil, isDelimitedStream { return checkStreamFailure(error) }
        if let violation = model.violation {
            require(error.code == violation.code, "\(error), expected \(violation)")
        } else {
            require(error.code != .endOfStream && error == model.inputEnd, "\(error)")
            requireNothingToRead()
        }
    }

    private func checkStreamFailure(_ error: ParleyError) {
        do {
            require(try !model.hasStreamBytes(), "\(error), though there are bytes to read")
            let expected: ParleyError.Code? =
                switch model.streamEnd {
                case .streamAborted: .streamAborted
                case nil: model.inputEnd.map { $0.code == .endOfStream ? .truncated : $0.code }
                default: nil
                }
            require(error.code == expected, "\(error), expected \(expected as Any)")
        } catch let violation {
            require(error.code == violation.code, "\(error), expected \(violation)")
        }
    }

    private func requireNothingToRead() {
        if isDecoding {
            require(!state.hasUndecodedMessages, "an end, though a stream may still be decoded")
        } else {
            require(model.waitingBytes == 0, "\(model.waitingBytes) bytes are withheld")
        }
    }

    private func requireNoStreamBytes() {
        do {
            require(try !model.hasStreamBytes(), "bytes of a stream are withheld")
        } catch { fatalError("a reader does not hear of \(error)") }
    }

    /// After a violation every call throws it again.
    func checkViolationLasts() {
        guard isOver else { return }
        isOver = false
        decode(limit: .max)
        require(isOver, "decoding goes on after a violation")
        require(read(upTo: 1) == nil, "bytes after a violation")
    }
}

// MARK: - Messages

extension PeerExercise {
    private func requireNext(is payload: ArraySlice<UInt8>, _ stream: Bool) {
        do {
            guard let expected = try model.nextDelivery() else { fatalError("\(payload) out of nothing") }
            require(
                isSame(payload, expected.payload) && stream == expected.stream,
                "\(payload), \(stream) delivered, expected \(expected)"
            )
        } catch { fatalError("\(payload) delivered, though \(error)") }
    }

    /// Checks that nothing that has arrived can be delivered.
    func requireNothingHidden() {
        guard model.violation == nil else { return }
        do {
            if let hidden = try model.nextDelivery() { fatalError("\(hidden) is withheld") }
        } catch { fatalError("nobody hears of \(error)") }
        requireSamePhase()
    }

    private func requireViolation(_ failure: ParleyError) {
        if let violation = model.violation {
            return require(failure.code == violation.code, "\(failure), expected \(violation)")
        }
        do {
            let next = try model.nextDelivery()
            fatalError("\(failure), expected \(next as Any)")
        } catch { require(failure.code == error.code, "\(failure), expected \(error)") }
    }

    private func requireSamePhase() {
        require(state.phase == model.phase, "the phase is \(state.phase), expected \(model.phase)")
    }
}

// MARK: - Demand for input, and the end of the connection

extension PeerExercise {
    /// The most bytes of a frame of a delimited stream that are kept beside those counted.
    private static var uncountedBytes: Int { FramedDecoder.headerBytes + 4 + FramedDecoder.maxReasonBytes }

    func checkReadAhead() {
        guard model.violation == nil else { return }
        for isReading in [false, true] {
            let limit = isReading ? PeerState.readAheadBytes : PeerState.readAheadBytes / 2
            let wants = state.wantsInput(isReading: isReading)
            require(!wants || model.inputEnd == nil, "more is wanted, though nothing comes")
            guard wants, !isDecoding else { continue }
            require(
                model.waitingBytes < limit + Self.uncountedBytes,
                "more is wanted, though \(model.waitingBytes) wait"
            )
        }
    }

    func checkFinalReason() {
        guard !model.isDropped, !isOver, model.violation == nil else { return }
        let reason = state.finalReason
        guard let inputEnd = model.inputEnd, isDecoding,
            !state.hasUndecodedMessages
        else { return require(reason == nil, "\(reason as Any) is final, though there is more") }
        requireNothingHidden()
        let expected: ParleyError.Code =
            if model.phase == .discarding {
                .truncated
            } else if inputEnd.code == .endOfStream {
                model.truncation()?.code ?? .endOfStream
            } else {
                inputEnd.code
            }
        require(reason?.code == expected, "\(reason as Any), expected \(expected)")
    }
}
