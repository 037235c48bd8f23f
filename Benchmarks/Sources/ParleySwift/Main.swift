import Bench
import Parley
import ParleyNoise

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Parley from Swift. Its doors: `task` (for await in an ordinary task), `batches` (arrays of what has
/// arrived, in an ordinary task), `loop` (for await on the transport's own executor), `loop-spin` (the same,
/// and it polls before it blocks), `loops` and `loops-batches` (a loop for each core, and a consumer on
/// each). For the bulk roles the door is the wire form; the `streams-` roles are those of `multiplexed`.
@main
struct Main {
    static func main() async {
        let bench = Bench()
        // An ordinary task: the program's first one is bound to the main thread.
        await Task.detached {
            do { try await run(bench) } catch { Bench.fail("\(error)") }
        }.value
    }

    private static func run(_ bench: Bench) async throws {
        switch bench.role {
        case "serve": try await serve(bench)
        case "ping": try await ping(bench)
        case "answer": try await answer(bench)
        case "ask": try await ask(bench)
        case "flood": try await flood(bench)
        case "bulk-serve": try await bulkServe(bench)
        case "bulk": try await bulk(bench)
        case "file-serve": try await fileServe(bench)
        case "file": try await sendFile(bench)
        case "greet-serve": try await greetServe(bench)
        case "greet": try await greet(bench)
        case "streams-serve": try await streamsServe(bench)
        case "streams-bulk": try await streamsBulk(bench)
        case "streams-beside": try await streamsBeside(bench)
        case "streams-open": try await streamsOpen(bench)
        case "streams-hold": try await streamsHold(bench)
        default: Bench.fail("no such role")
        }
    }
}

extension Bench {
    /// The options of every role: the defaults, frames, and room for as many peers and streams as are opened.
    func options(_ wire: WireForm = .framed) -> TransportOptions {
        var options = TransportOptions(listenAddress: "\(listenHost):\(port)", decoder: wire)
        options.limits.maxPeers = 20_000
        options.limits.maxInboundPeers = 20_000
        options.limits.maxOutboundPeers = 20_000
        options.limits.maxStreams = 1_000_000
        options.limits.streamsPerSecond = 10_000_000
        if isSecured { options.security = .noise(Identity()) }
        // As C on libuv does where it spins.
        if door == "loop-spin" { options.busyPoll = .microseconds(50) }
        if door.hasPrefix("loops") { options.loops = sysconf(Int32(_SC_NPROCESSORS_ONLN)) }
        return options
    }

    /// Counts; from several threads where the door has several.
    @inline(__always)
    func add(_ messages: Int, bytes: Int) {
        if hasManyThreads {
            Bench.addShared(messages, bytes: bytes)
        } else {
            Bench.add(messages, bytes: bytes)
        }
    }

    func dialAddress(_ n: Int = 0) -> String { "\(dialHost(n)):\(port)" }

    /// Runs `body` where the door says, with what it is to consume.
    func consume(_ transport: TCPTransport, _ body: @escaping @Sendable (RPCSequence) async throws -> Void)
        async throws
    {
        if door.hasPrefix("loops") {
            try await transport.consumeOnEachLoop(body)
        } else {
            try await run(on: transport) { try await body(transport.consume()) }
        }
    }

    /// Runs `body` where the door says.
    func run(on transport: TCPTransport, _ body: @escaping @Sendable () async throws -> Void) async throws {
        if door.hasPrefix("loop") {
            try await Task(executorPreference: transport.executor, operation: body).value
        } else {
            try await body()
        }
    }
}

extension TCPTransport {
    /// Listens, and says so.
    func begin() async throws {
        try await listenAndAccept()
        Bench.ready(port: Int(address.split(separator: ":").last!)!)
    }
}
