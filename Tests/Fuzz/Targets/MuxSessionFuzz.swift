#if !FUZZ
    @testable import Parley
#endif

/// Fuzzes a yamux session: the events do not depend on how the bytes arrive, what the session holds is
/// bounded, and what it writes is understood by another session.
func fuzzMuxSession(_ input: FuzzInput) {
    let whole = MuxExercise(of: input.wire, script: [], variant: input.variant)
    guard input.script.isEmpty else {
        return MuxExercise(of: input.wire, script: input.script, variant: input.variant).requireEqual(whole)
    }
    if input.wire.count <= 256 {
        MuxExercise(of: input.wire, script: Reads.byteByByte, variant: input.variant).requireEqual(whole)
    }
}

/// A session that gets the wire bytes, and a program that answers each event in a fixed way.
///
/// The variant: 1 the session is the dialer's and has opened streams, 2 limits are small, 4 the program
/// writes on each stream, 8 it consumes what it gets, 16 it closes streams at their first data, 32 it aborts
/// every third stream that is opened.
private struct MuxExercise {
    private var session: MuxSession
    private let variant: UInt8
    private var events: [MuxEvent] = []
    private var error: ParleyError?
    private var notices: [MuxNotice] = []
    private var open: Set<MuxStreamID> = []
    /// What the session writes.
    private var written = WireBuffer()

    private static let second: UInt64 = 1_000_000_000

    init(of wire: ArraySlice<UInt8>, script: ArraySlice<UInt8>, variant: UInt8) {
        var limits = MuxLimits()
        if variant & 2 != 0 {
            limits.maxRemoteStreams = 4
            limits.maxUnaccepted = 3
            limits.streamsPerSecond = 8
            limits.maxGrantedBytes = 6 * Int(YamuxHeader.initialWindowBytes)
            limits.maxAnswers = 8
            limits.pingsPerSecond = 8
            limits.idleFramesPerSecond = 8
        }
        session = MuxSession(isDialer: variant & 1 != 0, limits: limits)
        session.roundTrip = Self.second
        self.variant = variant
        begin()
        let heap = HeapUse()
        run(wire, Reads(of: wire, script: script))
        heap.requireInProportion(to: wire.count)
        requireBounds()
        requireEnd()
    }

    private mutating func begin() {
        guard variant & 1 != 0 else { return }
        for _ in 0..<3 {
            guard let opening = try? session.open(at: Self.second), case .opened(let stream) = opening else {
                fatalError("a new session opens streams")
            }
            open.insert(stream)
        }
        session.takeFrames(into: &written, upTo: .max, at: Self.second)
        require(session.sendPing(), "a ping is due")
        session.takeFrames(into: &written, upTo: .max, at: Self.second)
    }

    private mutating func run(_ wire: ArraySlice<UInt8>, _ reads: Reads) {
        var start = wire.startIndex
        for end in reads {
            var read = wire[start..<end]
            start = end
            do throws(ParleyError) {
                while let event = try session.next(&read, at: Self.second) { take(event, of: wire) }
            } catch {
                require(error.code == .protocolViolation && session.violation != nil, "\(error)")
                self.error = error
                return
            }
            require(read.isEmpty, "\(read.count) bytes are left, and no event")
        }
    }

    private mutating func take(_ event: MuxEvent, of wire: ArraySlice<UInt8>) {
        switch event {
        case .opened(let stream):
            require(open.insert(stream).inserted, "\(stream) was opened twice")
            if variant & 4 != 0, let count = try? session.write([1, 2, 3], to: stream) {
                require(count == 3, "a new stream takes bytes")
            }
            if variant & 32 != 0, stream.id % 3 == 0 { session.abort(stream, code: stream.id) }
        case .data(let stream, let bytes):
            require(open.contains(stream) && session.contains(stream), "data for \(stream), which is gone")
            require(!bytes.isEmpty && isSame(bytes, wire[bytes.indices]), "not a slice of what was fed")
            if variant & 8 != 0 { session.consumed(bytes.count, of: stream, at: Self.second) }
            if variant & 16 != 0 { session.close(stream) }
        case .finished(let stream), .reset(let stream, _), .acknowledged(let stream):
            require(open.contains(stream), "\(event) of a stream that was never told")
        case .refused, .pong, .goneAway: break
        }
        append(event)
        while let notice = session.nextNotice() {
            notices.append(notice)
            guard case .ended(let stream) = notice else { continue }
            require(open.remove(stream) != nil, "\(stream) ends twice, or was never told")
        }
    }

    /// Joins neighbouring data of one stream: its pieces depend on the reads.
    private mutating func append(_ event: MuxEvent) {
        if case .data(let stream, let more) = event, case .data(stream, let bytes)? = events.last {
            events[events.count - 1] = .data(stream, bytes + more)
        } else {
            events.append(event)
        }
    }

    private func requireBounds() {
        let limits = session.limits
        require(session.grantedBytes <= limits.maxGrantedBytes, "\(session.grantedBytes) bytes are granted")
        require(session.remoteStreams <= limits.maxRemoteStreams, "\(session.remoteStreams) streams")
        require(session.unaccepted <= limits.maxUnaccepted, "\(session.unaccepted) are not accepted")
        let control = limits.maxAnswers + limits.maxUnansweredPings + 2 * (limits.maxRemoteStreams + 8)
        require(session.control.count <= control, "\(session.control.count) control frames wait")
    }

    /// Ends everything, and expects that nothing is left.
    private mutating func requireEnd() {
        session.takeFrames(into: &written, upTo: .max, at: Self.second)
        requireUnderstood()
        for stream in session.streams { session.abort(stream) }
        while session.nextNotice() != nil {}
        require(session.streamCount == 0 && session.grantedBytes == 0, "streams are left")
        require(session.unsentBytes == 0 && session.grownBytes == 0, "bytes are left")
        require(session.unaccepted == 0 && session.unacknowledged == 0, "openings are left")
    }

    /// Expects frames that are whole and follow the rules, as far as one side's frames alone show it.
    private func requireUnderstood() {
        var rest = written.contiguous[...]
        var finished: Set<UInt32> = []
        while !rest.isEmpty {
            var partial = PartialYamuxHeader()
            guard let header = try? partial.take(&rest) else { fatalError("a frame is malformed or cut") }
            let count = header.type == .data ? Int(header.length) : 0
            require(count <= rest.count, "a frame is cut")
            rest = rest.dropFirst(count)
            guard header.stream != 0 else { continue }
            if header.type == .data { require(!finished.contains(header.stream), "data after FIN") }
            if header.flags.contains(.fin) { finished.insert(header.stream) }
        }
    }

    func requireEqual(_ whole: MuxExercise) {
        // A program that closes at the first data sees another first piece.
        guard variant & 16 == 0 else { return }
        require(events == whole.events, "in pieces: \(events)\n\nand at once: \(whole.events)")
        require(error == whole.error, "in pieces: \(error as Any), at once: \(whole.error as Any)")
        require(session.position == whole.session.position, "the positions differ")
    }
}
