import Dispatch
import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Writes the one file of a transfer to standard output. What was written stays so, also of a file that is
/// not complete: whoever reads it has to look at the exit code.
final class StandardOutputTarget: IncomingTarget {
    private var hasFile = false

    func makeFolder(_ path: RelativePath, _ metadata: Metadata?) throws(Refusal) {
        throw Refusal("one file is received here, and \"\(path.shown)\" is a folder")
    }

    func makeLink(_ path: RelativePath, to target: [UInt8], _ metadata: Metadata?) throws(Refusal) {
        throw Refusal("one file is received here, and \"\(path.shown)\" is a link")
    }

    func makeFile(
        _ path: RelativePath,
        _ metadata: Metadata?,
        byteCount: Int?
    ) throws(Refusal) -> any IncomingContent {
        guard !hasFile else { throw Refusal("one file is received here, and another one came first") }
        hasFile = true
        return StandardOutputContent()
    }

    func finish(hasAll: Bool) throws(Refusal) {}
}

/// The bytes of that file.
private final class StandardOutputContent: IncomingContent {
    /// A reader of a pipe may take its time, which must hold nothing else up.
    private let queue = DispatchQueue(label: "parley.standard-output")
    private static let zeros = [UInt8](repeating: 0, count: 65_536)

    func write(_ bytes: ArraySlice<UInt8>) async throws {
        let (results, written) = AsyncStream.makeStream(of: Result<Void, SystemError>.self)
        queue.async {
            written.yield(Result { () throws(SystemError) in try writeAll(Array(bytes), to: STDOUT_FILENO) })
            written.finish()
        }
        // Ends at once when the task is cancelled; the write ends with the process.
        let result = await results.first { _ in true }
        try Task.checkCancellation()
        do throws(SystemError) { try result?.get() } catch {
            if error.code == EPIPE { Interruption.standardOutputFailed(error) }
            throw Refusal("standard output cannot be written: \(error.reason)", scope: .transfer)
        }
    }

    func skip(_ byteCount: Int) async throws {
        var left = byteCount
        while left > 0 {
            let zeros = Self.zeros.prefix(left)
            try await write(zeros)
            left -= zeros.count
        }
    }

    func keep() {}

    func discard() {}
}
