// Sends 1 GiB to a receiver that reads slowly, each in a process of its own, and prints how far the receiver's
// memory rose above idle. Fails above 32 MiB: the difference has to stay in the sender and the kernel.

import Foundation
import Parley

let totalBytes = 1 << 30
let limitBytes = 32 << 20
/// Slower than any sender: one chunk, then a pause.
let chunkBytes = 256 * 1024
let pause = Duration.milliseconds(1)

/// A line of /proc/self/status, in bytes.
func memory(_ field: String) -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix(field + ":") }
    return (line?.split(separator: " ").dropFirst().first).flatMap { Int($0) }.map { $0 * 1024 } ?? 0
}

func mebibytes(_ bytes: Int) -> String { String(format: "%.1f MiB", Double(bytes) / Double(1 << 20)) }

func send(to address: String) async throws {
    let transport = TCPTransport()
    let peer = try await transport.dial(address)
    let writer = try await peer.openStream()
    let block = [UInt8](repeating: 0x5a, count: chunkBytes)
    for _ in 0..<totalBytes / chunkBytes { try await writer.write(block) }
    try await writer.finish()
    await transport.close()
}

func receive() async throws -> Bool {
    let transport = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0"))
    try await transport.listenAndAccept()
    let sender = Process()
    sender.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
    sender.arguments = ["send", transport.address]
    try sender.run()

    var rpcs = transport.consume().makeAsyncIterator()
    guard let stream = await rpcs.next() else { return false }
    let idle = memory("VmRSS")
    let started = ContinuousClock.now
    for try await _ in stream.peer.chunks(byteCount: totalBytes, chunkBytes: chunkBytes) {
        try await Task.sleep(for: pause)
    }
    let seconds = started.duration(to: .now) / .seconds(1)
    let peak = memory("VmHWM")
    stream.peer.closeStream()
    sender.waitUntilExit()
    await transport.close()

    print("slow reader: \(mebibytes(totalBytes)) in \(String(format: "%.1f", seconds)) s")
    print("idle \(mebibytes(idle)), peak \(mebibytes(peak)), above idle \(mebibytes(peak - idle))")
    return peak - idle < limitBytes && sender.terminationStatus == 0
}

if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "send" {
    try await send(to: CommandLine.arguments[2])
} else {
    let isGood = try await receive()
    print(isGood ? "ok: under \(mebibytes(limitBytes))" : "FAILED: over \(mebibytes(limitBytes))")
    exit(isGood ? 0 : 1)
}
