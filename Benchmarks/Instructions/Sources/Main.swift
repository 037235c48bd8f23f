import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The Swift end of one row of `make instructions`, written as an application would be: it uses the public
/// API alone and is compiled with none of the package's settings.
///
/// `ROLE COUNT [PORT]`: a listener prints `READY` and its port. The end of standard input ends the program;
/// the main thread waits for that and does nothing else.
@main
struct Main {
    static func main() {
        let arguments = CommandLine.arguments
        Task.detached {
            do {
                guard arguments.count >= 3, let count = Int(arguments[2]) else { throw Misuse() }
                try await run(arguments[1], count, port: arguments.count > 3 ? arguments[3] : "0")
            } catch {
                say("\(error)", to: STDERR_FILENO)
                exit(1)
            }
        }
        var byte: UInt8 = 0
        while read(STDIN_FILENO, &byte, 1) > 0 {}
        exit(0)
    }

    private static func run(_ role: String, _ count: Int, port: String) async throws {
        let transport = TCPTransport(options(role))
        if role != "dial" {
            try await transport.listenAndAccept()
            say("READY \(transport.address.split(separator: ":").last!)", to: STDOUT_FILENO)
        }
        switch role {
        case "echo": try await echo(transport)
        case "echo-loop": try await onLoop(transport) { try await echo(transport) }
        case "for-await": try await onLoop(transport) { try await receive(count, transport) }
        case "batches": try await onLoop(transport) { try await receiveBatches(count, transport) }
        case "send": try await onLoop(transport) { try await send(count, transport) }
        case "accept": for await _ in transport.consume() {}
        case "dial": try await onLoop(transport) { try await dial(count, "127.0.0.1:\(port)", transport) }
        default: throw Misuse()
        }
    }

    private static func onLoop(_ transport: TCPTransport, _ body: @escaping @Sendable () async throws -> Void)
        async throws
    {
        try await Task(executorPreference: transport.executor, operation: body).value
    }
}

struct Misuse: Error {}

/// Writes a line without stdio.
func say(_ line: String, to descriptor: Int32) {
    let bytes = Array("\(line)\n".utf8)
    _ = write(descriptor, bytes, bytes.count)
}
