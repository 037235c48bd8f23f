/// What secures the links of a node. ParleyNoise implements it, so that this module needs no cryptography.
package protocol LinkSecurity: Sendable {
    /// This node's own id.
    var id: PeerID { get }

    /// Makes the security of one new link.
    ///
    /// - Parameters:
    ///   - isInitiator: whether this side begins, which is the side that dialed.
    ///   - expected: the only id that may answer; nil for any.
    ///   - streamMuxers: the forms of streams that the handshake offers, the preferred one first; none says
    ///     nothing about them.
    func makeSession(
        isInitiator: Bool,
        expecting expected: PeerID?,
        offering streamMuxers: [String]
    ) -> any SecureSession
}

/// What the other side has shown of itself in the handshake of a secured link.
package struct ShownIdentity: Sendable, Equatable {
    /// It has proven that it has the private key of this id.
    package let id: PeerID
    /// The forms of streams that it offers, the preferred one first.
    package let streamMuxers: [String]

    package init(id: PeerID, streamMuxers: [String] = []) {
        self.id = id
        self.streamMuxers = streamMuxers
    }
}

/// The security of one link: bytes in, bytes out, without I/O. One thread at a time; once the handshake is
/// complete, one thread may seal while another opens.
///
/// On the wire is a sequence of messages; each follows its length, an unsigned 16-bit number, big-endian. The
/// first ones are the handshake. After an error in the handshake the session is not called again. After an
/// error of ``open(_:at:count:)`` nothing more is opened, and after one of ``seal(_:into:)`` nothing more is
/// sealed.
package protocol SecureSession: AnyObject {
    /// Begins the handshake. Appends what this side sends first, if it is the initiator.
    func begin(into output: inout [UInt8]) throws(ParleyError)

    /// Takes a message of the handshake, and appends what this side answers.
    ///
    /// - Returns: who the other side is when the handshake is complete; nil before.
    func advance(_ message: [UInt8], into output: inout [UInt8]) throws(ParleyError) -> ShownIdentity?

    /// Appends `bytes` as sealed messages, as few as can be.
    func seal(_ bytes: Span<UInt8>, into output: inout [UInt8]) throws(ParleyError)

    /// Opens a message in place: `count` bytes of `buffer` from `start` on.
    ///
    /// - Returns: where its content is.
    func open(_ buffer: inout [UInt8], at start: Int, count: Int) throws(ParleyError) -> Range<Int>
}

extension SecureSession {
    /// Appends what the buffer has as sealed messages, as few as can be.
    func seal(_ buffer: WireBuffer, into output: inout [UInt8]) throws(ParleyError) {
        output.reserveCapacity(SecureMessage.wireBytes(of: buffer.count))
        try buffer.forEachRun(of: SecureMessage.maxContentBytes) { (run) throws(ParleyError) in
            try seal(run, into: &output)
        }
    }
}

extension SecureMessage {
    /// How many bytes `count` bytes of content take on the wire at most.
    static func wireBytes(of count: Int) -> Int {
        count + (count / maxContentBytes + 1) * (lengthBytes + tagBytes)
    }
}

/// The sizes of the messages of a secured link.
package enum SecureMessage {
    /// The bytes of the length before each message.
    static let lengthBytes = 2
    package static let tagBytes = 16
    package static let maxBytes = 65_535
    package static let maxContentBytes = maxBytes - tagBytes
    /// The most bytes of a message of the handshake. Every byte is held until the last one is there, for
    /// somebody who has shown nothing yet.
    static let maxHandshakeBytes = 4_096
}

/// What has arrived on a secured link and is not passed on yet. A value without I/O.
///
/// Bytes are appended; whole messages are taken from the front. At most one unfinished message is held, and
/// what came behind it in one read.
struct SecureInput {
    /// Whole and unfinished messages with their lengths, from ``start`` on.
    private(set) var bytes: [UInt8] = []
    private var start = 0

    /// The result of ``next(atMost:)``.
    enum Next: Equatable {
        /// It is not there yet.
        case unfinished
        /// It is in ``bytes`` at that place, without its length.
        case message(at: Int, count: Int)
        /// Its length is over the limit.
        case tooLong(Int)
    }

    var count: Int { bytes.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ new: Span<UInt8>) {
        if start == bytes.count { removeAll() }
        if start > 0 {
            bytes.removeSubrange(0..<start)
            start = 0
        }
        bytes.append(copying: new)
    }

    /// Lends its memory for a read behind what is there, which may bring `room` bytes. Nothing else is done
    /// with it until ``takeBack(_:)``.
    mutating func lend(room: Int) -> PeerState.LargeFrame {
        var memory: [UInt8] = []
        memory.reserveCapacity(count + room)
        memory.append(contentsOf: bytes[start...])
        (bytes, start) = ([], 0)
        let end = memory.count + room
        return PeerState.LargeFrame(bytes: memory, frameBytes: end)
    }

    /// Takes the memory back that ``lend(room:)`` gave away.
    mutating func takeBack(_ memory: consuming PeerState.LargeFrame) {
        bytes = memory.bytes
    }

    /// Takes the next message.
    mutating func next(atMost limit: Int = SecureMessage.maxBytes) -> Next {
        guard count >= SecureMessage.lengthBytes else { return .unfinished }
        let length = Int(bytes[start]) << 8 | Int(bytes[start + 1])
        guard length <= limit else { return .tooLong(length) }
        let place = start + SecureMessage.lengthBytes
        guard bytes.count - place >= length else { return .unfinished }
        start = place + length
        return .message(at: place, count: length)
    }

    /// Lets `body` take bytes that are no messages from the front.
    mutating func take<Result>(
        _ body: (inout ArraySlice<UInt8>) throws(ParleyError) -> Result
    ) throws(ParleyError) -> Result {
        var rest = bytes[start...]
        defer { start = rest.startIndex }
        return try body(&rest)
    }

    /// Lets `body` change the bytes in place.
    mutating func withBytes<Result>(
        _ body: (inout [UInt8]) throws(ParleyError) -> Result
    ) throws(ParleyError) -> Result {
        try body(&bytes)
    }

    /// Whether content in ``bytes`` may keep all of this memory alive: it is a fair part of it. The longest
    /// message, 64 KiB, is that in a block of ``ReadBlock/capacityBytes`` with the rest of a read before it.
    func isWorthKeeping(_ content: Range<Int>) -> Bool { content.count >= bytes.capacity / 6 }

    /// Releases what was taken. A link that has little keeps a small allocation at most.
    mutating func compact() {
        if isEmpty { return removeAll() }
        guard bytes.capacity > 4 * count + Self.idleBytes else { return }
        bytes.removeFirst(start)
        start = 0
        bytes = bytes.duplicate
    }

    private mutating func removeAll() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= Self.idleBytes)
        start = 0
    }

    /// The largest allocation that an idle link keeps.
    private static let idleBytes = 256
}
