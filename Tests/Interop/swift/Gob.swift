import FaultProxy
import ForeignProcess
import Foundation
import Parley

#if canImport(Glibc)
    import Glibc
#endif

/// A way for Parley and Go to use encoding/gob together, and how the segments between them are cut.
struct GobCase {
    let encoding: GOBDecoder.Encoding
    let arguments: [String]
    let cut: FaultPlan?
    let count: Int

    var name: String {
        let cutName = cut.map {
            if case .singleBytes = $0.pieces { "byte by byte" } else { "split and merged" }
        }
        return "gob: \(count) random values there and back, Parley \(encoding), Go "
            + (arguments.isEmpty ? "with one decoder and encoder" : arguments.joined(separator: " "))
            + (cutName.map { ", \($0)" } ?? "")
    }

    static let all = [
        GobCase(encoding: .onePerConnection, arguments: [], cut: nil, count: 10_000),
        GobCase(
            encoding: .onePerConnection,
            arguments: ["-per-message"],
            cut: .splitting(seed: 3),
            count: 10_000
        ),
        GobCase(encoding: .selfContained, arguments: ["-fresh"], cut: .splitting(seed: 5), count: 10_000),
        GobCase(
            encoding: .selfContained,
            arguments: ["-fresh", "-per-message", "-from", "somebody"],
            cut: nil,
            count: 10_000
        ),
        GobCase(
            encoding: .onePerConnection,
            arguments: ["-from", "somebody"],
            cut: .singleBytes,
            count: 200
        ),
    ]

    /// A Go program decodes what Parley sends and sends it back, encoded anew.
    func run(_ gobpipe: String) async throws {
        let node = TCPTransport(
            TransportOptions(listenAddress: "127.0.0.1:0", decoder: .gob(encoding: encoding))
        )
        try await node.listenAndAccept()
        let port = try SocketAddress(node.address).port
        let proxy = cut.map { FaultProxy(to: port, $0) }
        let go = try launch(gobpipe, connectedTo: proxy?.port ?? port)
        defer { kill(go.processIdentifier, SIGKILL) }
        // The Go program says nothing by itself: the list of peers tells that it is there.
        while node.peers.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
        let peer = node.peers[0]
        let sending = Task { for number in 0..<count { try await peer.send(message: value(number)) } }
        var rpcs = node.consume().makeAsyncIterator()
        for number in 0..<count {
            guard let rpc = await rpcs.next(), Array(rpc.payload) == value(number) else {
                throw Failure("value \(number) of \(value(number).count) bytes came back changed")
            }
        }
        try await sending.value
        await node.close()
        withExtendedLifetime(proxy) {}
    }

    private func value(_ number: Int) -> [UInt8] {
        var content = Content(seed: UInt64(number))
        let bits = Int(content.next(1)[0] % 13)
        return content.next(Int(content.next(1)[0]) & ((1 << bits) - 1) + (bits > 8 ? 1 << bits : 0))
    }

    /// Starts the program with a connected socket as its standard input and output.
    private func launch(_ executable: String, connectedTo port: UInt16) throws -> Process {
        #if canImport(Glibc)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Failure("cannot connect to port \(port): \(errno)") }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.standardInput = handle
        process.standardOutput = handle
        try process.run()
        return process
    }
}
