import Parley

/// One connection to a multiplexed node that misuses its streams: what it says, without end where there is
/// none. Bytes in, bytes out, no socket.
final class StreamAttack {
    private let behaviour: Campaign.Behaviour
    /// Which of the ways of its behaviour.
    private let isFirstWay: Bool
    /// Nil with a node without security.
    private let session: (any SecureSession)?
    /// Whether the node can be told of streams.
    private(set) var isOpen = false
    private var heard: [UInt8] = []
    private var nextID: UInt32 = 3
    private var codes: UInt32 = 0
    private var headerBytesLeft = 0

    init(_ behaviour: Campaign.Behaviour, _ choice: UInt64, _ session: (any SecureSession)?) {
        self.behaviour = behaviour
        isFirstWay = choice & 1 == 0
        self.session = session
    }

    /// What it says first.
    func opening() -> [UInt8] {
        guard let session else { return begin() }
        return said { (output) throws(ParleyError) in try session.begin(into: &output) }
    }

    /// Takes bytes of the node's handshake.
    ///
    /// - Returns: what it says to them.
    func hear(_ bytes: [UInt8]) -> [UInt8] {
        heard += bytes
        guard let session, heard.count >= 2 else { return [] }
        let length = Int(heard[0]) << 8 | Int(heard[1])
        guard heard.count >= 2 + length else { return [] }
        let message = Array(heard[2..<2 + length])
        let last = said { (output) throws(ParleyError) in _ = try session.advance(message, into: &output) }
        return last.isEmpty ? [] : last + sealed(begin())
    }

    /// What it says when all of that is sent; nothing when it only waits from then on.
    func more() -> [UInt8] { isOpen ? sealed(further()) : [] }

    private func begin() -> [UInt8] {
        isOpen = true
        return Yamux.data(1, Yamux.messages + Greeting.bytes, .syn) + first()
    }

    private func sealed(_ bytes: [UInt8]) -> [UInt8] {
        guard let session, !bytes.isEmpty else { return bytes }
        return said { (output) throws(ParleyError) in try session.seal(bytes.span, into: &output) }
    }

    /// What the session appends; nothing when it cannot go on.
    private func said(_ body: (inout [UInt8]) throws(ParleyError) -> Void) -> [UInt8] {
        var output: [UInt8] = []
        do throws(ParleyError) { try body(&output) } catch { return [] }
        return output
    }

    private func newID() -> UInt32 {
        defer { nextID += 2 }
        return nextID
    }

    // MARK: What it does

    /// Frames in one piece.
    private static let pieceFrames = 500

    private func first() -> [UInt8] {
        switch behaviour {
        case .overflow:
            return isFirstWay
                ? Yamux.update(newID(), .max, .syn)
                : Yamux.data(3, Yamux.echo, .syn) + Yamux.update(3, .max)
        case .beyond:
            let bytes: UInt32 = isFirstWay ? 256 << 10 : .max - UInt32(Yamux.echo.count)
            return Yamux.data(3, Yamux.echo, .syn)
                + Yamux.header(.data, [], 3, bytes + 1) + [UInt8](repeating: 0, count: 1_000)
        case .never where isFirstWay: return Yamux.data(99, [1, 2, 3])
        case .wrongSide:
            return isFirstWay
                ? Yamux.update(4, 0, .syn) : Yamux.update(3, 0, .syn) + Yamux.update(3, 0, .syn)
        case .credit, .empty: return Yamux.data(3, Yamux.echo, .syn)
        case .halfOpen: return (0..<160).flatMap { _ in Yamux.data(newID(), Yamux.half, .syn) }
        case .deaf, .stingy:
            return (0..<32).flatMap { _ in Yamux.data(newID(), Yamux.echo + Self.zeros, .syn) }
        case .header: return isFirstWay ? headers(4, of: 6 << 20) : headers(1, of: 8 << 20)
        case .openings, .rapid, .never, .pings, .goAways, .names, .crumbs: return []
        default: preconditionFailure("\(behaviour) does not misuse streams")
        }
    }

    private func further() -> [UInt8] {
        switch behaviour {
        case .openings: frames { Yamux.update(newID(), 0, .syn) }
        case .rapid: frames { Yamux.data(nextID, rapidOpening, .syn) + Yamux.update(newID(), 0, .rst) }
        case .credit: frames { Yamux.update(3, 1) }
        case .never where !isFirstWay: frames { Yamux.update(newID(), 0, .rst) }
        case .pings: frames { Yamux.header(.ping, .syn, 0, 7) }
        case .goAways:
            frames {
                codes += isFirstWay ? 1 : 0
                return Yamux.header(.goAway, [], 0, codes % 2)
            }
        case .empty: frames { Yamux.data(3, []) }
        case .names: (0..<20).flatMap { _ in Yamux.data(newID(), Yamux.unknownNames, [.syn, .fin]) }
        case .crumbs: (0..<4).flatMap { _ in crumbs() }
        case .header where !isFirstWay: frames { Yamux.data(3, [0]) }
        default: []
        }
    }

    private func frames(_ next: () -> [UInt8]) -> [UInt8] {
        var piece: [UInt8] = []
        for _ in 0..<Self.pieceFrames { piece += next() }
        return piece
    }

    private var rapidOpening: [UInt8] { isFirstWay ? Yamux.echo : Yamux.streamHeader(3) + [1, 2, 3] }

    /// Proposals in frames of one byte, and the end of their stream.
    private func crumbs() -> [UInt8] {
        let id = newID()
        return Yamux.update(id, 0, .syn) + Yamux.unknownNames.flatMap { Yamux.data(id, [$0]) }
            + Yamux.update(id, 0, .rst)
    }

    /// The beginnings of stream headers, side by side. The node takes them as they come.
    private func headers(_ count: Int, of bytes: Int) -> [UInt8] {
        let ids = (0..<count).map { _ in newID() }
        var piece = ids.flatMap { Yamux.data($0, Yamux.streamHeader(16 << 20), .syn) }
        let part = [UInt8](repeating: 0, count: 16 << 10)
        for _ in 0..<bytes / part.count { for id in ids { piece += Yamux.data(id, part) } }
        return piece
    }

    private static let zeros = [UInt8](repeating: 0, count: 200 << 10)
}

/// Frames of yamux and lines of multistream-select, as an attacker writes them.
private enum Yamux {
    enum FrameType: UInt8 { case data, update, ping, goAway }

    struct Flags: OptionSet {
        let rawValue: UInt8
        static let syn = Flags(rawValue: 1)
        static let fin = Flags(rawValue: 4)
        static let rst = Flags(rawValue: 8)
    }

    static func header(_ type: FrameType, _ flags: Flags, _ id: UInt32, _ length: UInt32) -> [UInt8] {
        [0, type.rawValue, 0, flags.rawValue] + bytes(id) + bytes(length)
    }

    static func data(_ id: UInt32, _ content: [UInt8], _ flags: Flags = []) -> [UInt8] {
        header(.data, flags, id, UInt32(content.count)) + content
    }

    static func update(_ id: UInt32, _ bytes: UInt32, _ flags: Flags = []) -> [UInt8] {
        header(.update, flags, id, bytes)
    }

    private static func bytes(_ number: UInt32) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) }
    }

    // MARK: What a stream begins with

    private static func lines(_ texts: String...) -> [UInt8] {
        (["/multistream/1.0.0"] + texts).flatMap { [UInt8($0.utf8.count + 1)] + $0.utf8 + [0x0a] }
    }

    static let messages = lines("/parley/framed/1")
    static let echo = lines(StreamEcho.name)
    static let half = Array(lines(StreamEcho.name).dropLast(5))
    static let unknownNames = lines() + (0..<64).flatMap { _ in [4] + Array("/no\n".utf8) }

    static func streamHeader(_ bytesOfHeader: UInt32) -> [UInt8] {
        lines("/parley/stream/1") + bytes(bytesOfHeader)
    }
}
