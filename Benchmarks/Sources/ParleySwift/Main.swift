import Bench
import Parley

/// Parley from Swift. Its doors: `task` (for await in an ordinary task), `batches` (arrays of what has arrived, in an
/// ordinary task) and `loop` (for await on the transport's own executor). For bulk streams the door is the wire form.
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
        case "flood": try await flood(bench)
        case "bulk-serve": try await bulkServe(bench)
        case "bulk": try await bulk(bench)
        case "file-serve": try await fileServe(bench)
        case "file": try await sendFile(bench)
        case "greet-serve": try await greetServe(bench)
        case "greet": try await greet(bench)
        default: Bench.fail("no such role")
        }
    }
}

extension Bench {
    /// The options of every role: the defaults, and frames.
    func options(_ wire: WireForm = .framed) -> TransportOptions {
        TransportOptions(listenAddress: "\(listenHost):\(port)", decoder: wire)
    }

    func dialAddress(_ n: Int = 0) -> String { "\(dialHost(n)):\(port)" }

    /// Runs `body` where the door says.
    func run(on transport: TCPTransport, _ body: @escaping @Sendable () async throws -> Void) async throws {
        if door == "loop" {
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
