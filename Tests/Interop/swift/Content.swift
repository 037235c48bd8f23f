import Foundation

/// The bytes that the Go node calls content: xorshift64 words in little-endian order. The twin of content.go.
struct Content {
    private var state: UInt64
    private var word: [UInt8] = []

    init(seed: UInt64) { state = seed == 0 ? 0x9E37_79B9_7F4A_7C15 : seed }

    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var content = Content(seed: seed)
        return content.next(count)
    }

    /// The next `count` bytes.
    mutating func next(_ count: Int) -> [UInt8] {
        var bytes = word
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            withUnsafeBytes(of: state.littleEndian) { bytes.append(contentsOf: $0) }
        }
        word = Array(bytes[count...])
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}

/// SHA-256 by the system's own tool, fed piece by piece.
final class SHA256Tool {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    init() throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        #if os(macOS)
            process.arguments = ["shasum", "-a", "256"]
        #else
            process.arguments = ["sha256sum"]
        #endif
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    func update(_ bytes: some Sequence<UInt8>) throws {
        try input.fileHandleForWriting.write(contentsOf: Data(bytes))
    }

    func finish() throws -> String {
        try input.fileHandleForWriting.close()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: text.prefix(64), as: UTF8.self)
    }

    static func hash(_ bytes: [UInt8]) throws -> String {
        let tool = try SHA256Tool()
        try tool.update(bytes)
        return try tool.finish()
    }
}
