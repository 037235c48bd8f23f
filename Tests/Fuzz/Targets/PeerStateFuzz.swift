#if !FUZZ
    @testable import Parley
#endif

/// The receiving half of a connection, driven by a script in any order that its callers could choose.
func fuzzPeerState(_ input: FuzzInput) {
    switch input.variant & 7 {
    case 0, 5: exercise(DefaultDecoder(), input)
    case 1, 6: exercise(FramedDecoder(), input)
    case 2: exercise(FramedDecoder(maxMessageBytes: 1_000), input)
    case 3, 7: exercise(GOBDecoder(), input)
    default: exercise(GOBDecoder(maxMessageBytes: 1_000), input)
    }
}

private func exercise<Form: Decoder>(_ decoder: Form, _ input: FuzzInput) {
    let exercise = PeerExercise(decoder, input.wire)
    if input.variant & 8 == 0 { exercise.finishHandshake() }
    exercise.run(input.script)
    exercise.end()
}

/// A state and its model, side by side.
final class PeerExercise<Form: Decoder> {
    var state: PeerState
    var model: PeerModel<Form>
    /// What has not arrived yet.
    private var wire: ArraySlice<UInt8>
    /// How many bytes beside `wire` may be made up, to fill buffers that no small input could.
    private var paddingBytesLeft = 320 << 10
    /// `decode` threw: a connection ends then.
    var isOver = false

    init(_ decoder: Form, _ wire: ArraySlice<UInt8>) {
        state = PeerState(decoder: decoder)
        model = PeerModel(decoder)
        self.wire = wire
    }
}

/// Ones begin something in every wire form.
private let padding = [UInt8](repeating: 1, count: 64 << 10)[...]

private let lengths = [1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 128, 256, 1_024, 4_096]

// MARK: - The script

extension PeerExercise {
    /// Goes through the script until everything has arrived: each time more arrives at once, so that no script
    /// takes long.
    func run(_ script: ArraySlice<UInt8>) {
        var round = 0
        repeat {
            for step in script where !isOver { take(step & 15, Int(step >> 4)) }
            receive(script.isEmpty ? .max : 1 << round)
            decode(limit: .max)
            round += 1
        } while !wire.isEmpty && model.inputEnd == nil && !isOver
    }

    private func take(_ step: UInt8, _ argument: Int) {
        let length = lengths[argument]
        switch step {
        case 0...3: receive(length)
        case 4: decode(limit: argument)
        case 5: decode(limit: .max)
        case 6: read(upTo: length)
        case 7: for _ in 0..<16 where read(upTo: length) == nil { break }
        case 8: closeStream()
        case 9: finishHandshake()
        case 10: fillLargeFrame(length, from: &wire)
        case 11: fillLargeFrameWithPadding(length << 6)
        case 12: receivePadding((argument + 1) << 12)
        case 13: checkFinalReason()
        case 14 where argument == 15: dropInput()
        case 14: readAndPutBack(length, closing: argument & 3 == 3)
        case 15 where argument == 14: endInput(.connectionReset)
        case 15 where argument == 15: endInput(.endOfStream)
        default: decode(limit: 1)
        }
    }

    /// Nothing more arrives; readers who do what they should bring every connection to its end.
    func end() {
        endInput(.endOfStream)
        finishHandshake()
        var turnsLeft = model.arrived.count + 8
        decode(limit: .max)
        while !isOver, state.finalReason == nil {
            require(turnsLeft > 0, "the connection has ended, and its state does not come to an end")
            turnsLeft -= 1
            while read(upTo: 4_096) != nil {}
            closeStream()
            decode(limit: .max)
        }
        checkFinalReason()
        checkViolationLasts()
    }
}

// MARK: - What arrives

extension PeerExercise {
    private func receive(_ count: Int) {
        let block = wire.prefix(count)
        guard model.inputEnd == nil, !block.isEmpty else { return }
        wire.removeFirst(block.count)
        receive(block: block)
    }

    private func receivePadding(_ count: Int) {
        guard model.inputEnd == nil, paddingBytesLeft >= count else { return }
        paddingBytesLeft -= count
        receive(block: padding.prefix(count))
    }

    private func receive(block: ArraySlice<UInt8>) {
        state.receive(block)
        model.receive(block)
        // As a connection does when this side has closed.
        if model.isDropped { state.dropInput() }
        checkReadAhead()
    }

    private func fillLargeFrameWithPadding(_ count: Int) {
        var bytes = padding.prefix(paddingBytesLeft)
        paddingBytesLeft -= bytes.count
        fillLargeFrame(count, from: &bytes)
        paddingBytesLeft += bytes.count
    }

    /// Reads into a frame's own buffer, as the socket would; perhaps nothing.
    private func fillLargeFrame(_ count: Int, from source: inout ArraySlice<UInt8>) {
        guard model.inputEnd == nil, !isOver else { return }
        let isAwaited = state.awaitsLargeFrame
        guard var frame = state.takeLargeFrame() else { return }
        require(isAwaited && frame.missing > 0 && !model.isDropped, "a large frame is lent, not awaited")
        requireNothingHidden()
        require(
            frame.bytes.count == model.waitingBytes,
            "a large frame has \(frame.bytes.count) bytes, of which \(model.waitingBytes) have come"
        )
        let bytes = source.prefix(min(count, frame.missing))
        source.removeFirst(bytes.count)
        frame.bytes.append(contentsOf: bytes)
        read(upTo: 1)  // from another thread, while the frame is away
        if !bytes.isEmpty { model.receive(bytes) }
        state.returnLargeFrame(frame)
    }

    private func endInput(_ code: ParleyError.Code) {
        let reason = ParleyError(code, "the end")
        state.endInput(reason)
        model.endInput(reason)
        require(state.inputEnd == model.inputEnd, "the input has ended because of something else")
        checkReadAhead()
    }

    private func dropInput() {
        state.dropInput()
        model.drop()
        checkReadAhead()
    }
}
