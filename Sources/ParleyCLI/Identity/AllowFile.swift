import Dispatch
import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The ids in a file of `--allow-file`: one in a line. Empty lines mean nothing, nor does what follows a `#`.
enum AllowFile {
    /// No list that was meant is longer.
    private static let maxBytes = 16 << 20

    /// - Throws: a sentence that names the file and the line.
    static func ids(in content: [UInt8], path: String) throws(Failure) -> Set<PeerID> {
        var ids: Set<PeerID> = []
        let lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (number, line) in lines.enumerated() {
            let text = line.prefix { $0 != UInt8(ascii: "#") }.trimmed
            guard !text.isEmpty else { continue }
            do { ids.insert(try PeerID(String(printable: text))) } catch {
                throw Failure("\(path):\(number + 1): \(error.message)")
            }
        }
        return ids
    }

    /// Reads a file, which may be a pipe.
    static func ids(at path: LocalPath) throws(Failure) -> Set<PeerID> {
        let content: [UInt8]
        do throws(SystemError) { content = try read(path) } catch {
            throw Failure("cannot read \(path.shown): \(error.reason)")
        }
        guard content.count <= maxBytes else {
            throw Failure("\(path.shown) is longer than \(maxBytes) bytes, so it is no list of ids")
        }
        return try ids(in: content, path: path.shown)
    }

    /// A pipe may have no writer, or a silent one. Another thread waits for it: a signal cancels the task
    /// that calls, and then this fails with `EINTR`.
    private static func read(_ path: LocalPath) throws(SystemError) -> [UInt8] {
        let result = Lock<Result<[UInt8], SystemError>?>(nil)
        let isOver = DispatchSemaphore(value: 0)
        // A queue of its own is a thread of its own.
        DispatchQueue(label: "parley.allow-file").async {
            let content: Result<[UInt8], SystemError>
            do throws(SystemError) { content = .success(try contents(of: path)) } catch {
                content = .failure(error)
            }
            result.withLock { $0 = content }
            isOver.signal()
        }
        while isOver.wait(timeout: .now() + .milliseconds(50)) == .timedOut {
            if Task.isCancelled { throw SystemError(code: EINTR) }
        }
        guard let content = result.withLock({ $0 }) else { throw SystemError(code: EINTR) }
        return try content.get()
    }

    private static func contents(of path: LocalPath) throws(SystemError) -> [UInt8] {
        let descriptor = path.withCString { open($0, O_RDONLY | O_NOCTTY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw .last }
        defer { close(descriptor) }
        var content: [UInt8] = []
        while content.count <= maxBytes {
            let block = try readSome(65_536, from: descriptor)
            guard !block.isEmpty else { break }
            content += block
        }
        return content
    }
}

extension ArraySlice<UInt8> {
    /// Without spaces, tabs and carriage returns at both ends.
    var trimmed: ArraySlice<UInt8> {
        let isSpace: (UInt8) -> Bool = {
            [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r")].contains($0)
        }
        guard let last = lastIndex(where: { !isSpace($0) }) else { return [] }
        return self[...last].drop(while: isSpace)
    }
}
