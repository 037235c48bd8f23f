public import CBench

/// What a benchmark program was asked to do, and how it counts; see `bench.h`.
public struct Bench: Sendable {
    /// `serve`, `ping`, `flood` and so on.
    public let role: String
    /// Where to listen, 0 for a free one, or where to dial.
    public let port: Int
    /// Payload of a message.
    public let bytes: Int
    /// Bytes of one write of a bulk stream.
    public let chunk: Int
    /// How many connections, for roles that have many.
    public let peers: Int
    /// How many streams of a connection, for roles that have many.
    public let streams: Int
    /// Which of its ways in a candidate is to use.
    public let door: String
    /// Whether that is one of the doors with several threads that count.
    public let hasManyThreads: Bool
    /// The file to send, or the folder to receive into.
    public let path: String
    /// Whether both ends show keys to each other, and what is sent is sealed.
    public let isSecured: Bool
    private let listensToAll: Bool
    private let hosts: Int

    /// Reads the command line and begins to listen to standard input.
    public init() {
        let options = bench_start(CommandLine.argc, CommandLine.unsafeArgv)!.pointee
        role = String(cString: options.role)
        port = Int(options.port)
        bytes = options.bytes
        chunk = options.chunk
        peers = Int(options.peers)
        streams = Int(options.streams)
        door = String(cString: options.door)
        hasManyThreads = door.hasPrefix("loops")
        path = String(cString: options.path)
        isSecured = options.secured
        hosts = Int(options.hosts)
        listensToAll = hosts > 1
    }

    /// Where a server binds.
    public var listenHost: String { listensToAll ? "0.0.0.0" : "127.0.0.1" }

    /// Where the n-th connection goes.
    public func dialHost(_ n: Int) -> String { "127.0.0.\(1 + n % hosts)" }

    /// A message whose first byte tells the server what to do with it.
    public func message(_ purpose: Purpose) -> [UInt8] {
        var message = [UInt8](repeating: UInt8(ascii: "x"), count: bytes)
        if !message.isEmpty { message[0] = purpose.rawValue }
        return message
    }

    /// What the first byte of a payload asks for.
    public enum Purpose: UInt8 {
        case echo = 0x45
        case sink = 0x53
    }

    /// Says that the program has begun; `port` is what a server is bound to.
    public static func ready(port: Int = 0) { bench_ready(Int32(port)) }

    /// Counts, from one thread at a time.
    @inlinable @inline(__always)
    public static func add(_ messages: Int, bytes: Int) { bench_add(UInt64(messages), UInt64(bytes)) }

    /// Counts, from any thread.
    @inlinable @inline(__always)
    public static func addShared(_ messages: Int, bytes: Int) {
        bench_add_shared(UInt64(messages), UInt64(bytes))
    }

    /// Nanoseconds.
    @inlinable @inline(__always)
    public static var now: UInt64 { bench_now() }

    /// Counts one message that came back now.
    @inlinable @inline(__always)
    public static func roundTrip(since begun: UInt64) { bench_round_trip(bench_now() &- begun) }

    /// Waits for the line `go` on standard input; blocks its thread.
    public static func waitForGo() { bench_wait_for_go() }

    /// Whether that line has come; each counts once.
    public static var wasTold: Bool { bench_was_told() }

    /// Prints one line on standard output.
    public static func say(_ line: String) { bench_say(line) }

    /// Ends the program.
    public static func fail(_ what: String) -> Never { bench_fail(what, 0) }

    /// Waits for ever: the end of standard input ends the program.
    public static func forever() async -> Never {
        while true { try? await Task.sleep(for: .seconds(3_600)) }
    }
}

/// Eight bytes go and eight come back before a connection counts as greeted.
public let greeting: [UInt8] = Array("greeting".utf8)
