/// Files as streams.
extension Peer {
    /// Sends a file, or a part of it, as one stream.
    ///
    /// The kernel moves the bytes from file to socket where wire form and platform allow it (sendfile(2)), on the
    /// transport's thread: a file that is not in memory yet may hold the other peers up for as long as the disk takes.
    ///
    /// - Parameters:
    ///   - path: a regular file. It is an error when it gets shorter meanwhile, and then the connection ends.
    ///   - header: the stream's header, for wire forms that carry one.
    ///   - offset: where to begin, in bytes.
    ///   - length: how many bytes; nil means to the end.
    ///   - progress: called now and then with the bytes that were accepted so far.
    /// - Returns: the number of bytes sent.
    /// - Throws: ``ParleyError``: `fileNotFound`, `permissionDenied`, `invalidArgument` (not a regular file, or a range
    ///   outside it), and what ``Peer/openStream(header:)`` throws. A failure behind the opening aborts the stream.
    @discardableResult
    public func sendStream(
        contentsOf path: String,
        header: ArraySlice<UInt8> = [],
        offset: Int = 0,
        length: Int? = nil,
        progress: (Int) -> Void = { _ in }
    ) async throws(ParleyError) -> Int {
        let file = try opening { () throws(ParleyError) in try File.reading(path) }
        let size = try file.size()
        guard (0...size).contains(offset), (0...size - offset).contains(length ?? 0) else {
            throw ParleyError(
                .invalidArgument,
                "\(path) has \(size) bytes: the range asked for is outside it"
            )
        }
        let total = length ?? size - offset
        let writer = try await openStream(header: header)
        do {
            var sent = 0
            while sent < total {
                let range = FileRange(file, offset: offset + sent, count: min(filePieceBytes, total - sent))
                if let writer = writer as? ConnectionStreamWriter {
                    try await writer.write(range)
                } else {
                    try await writer.write(file.read(at: range.offset, count: range.count))
                }
                sent += range.count
                progress(sent)
            }
            try await writer.finish()
            return total
        } catch {
            await writer.abort(code: 0, reason: error.message)
            throw error
        }
    }

    /// Reads the open stream into a new file, under a temporary name beside it until it is whole, and closes the
    /// stream.
    ///
    /// Never replaces a file. On failure nothing is left behind, and the stream is closed as well: in a wire form
    /// whose streams have an end, the connection stays in step.
    ///
    /// - Parameters:
    ///   - path: the file to make. Check a name that came from a stranger first.
    ///   - byteCount: how many bytes to take; nil takes all until the stream's end.
    ///   - progress: called now and then with the bytes that were written so far.
    /// - Returns: the number of bytes written.
    /// - Throws: ``ParleyError``: `fileExists`, `fileNotFound` (no such folder), `permissionDenied`, and what
    ///   ``Peer/read(upTo:)`` throws; `endOfStream` when fewer than `byteCount` come.
    @discardableResult
    public func receiveStream(
        into path: String,
        byteCount: Int? = nil,
        progress: (Int) -> Void = { _ in }
    ) async throws(ParleyError) -> Int {
        defer { closeStream() }
        let suffix = String(UInt64.random(in: .min ... .max), radix: 36)
        let file = try opening { () throws(ParleyError) in try File.creating("\(path).parley-\(suffix)") }
        do {
            var chunks = chunks(byteCount: byteCount, chunkBytes: 256 * 1024).makeAsyncIterator()
            var written = 0
            while let chunk = try await chunks.next() {
                try file.write(chunk)
                written += chunk.count
                progress(written)
            }
            try file.publish(as: path)
            return written
        } catch {
            file.discard()
            throw error
        }
    }
}

/// How much of a file is queued at once: what progress and aborts are measured in.
private let filePieceBytes = 1 << 20

extension Peer {
    /// Opens a file; the node hears of it when there is no descriptor for it.
    private func opening(_ open: () throws(ParleyError) -> File) throws(ParleyError) -> File {
        do { return try open() } catch {
            if error.code == .tooManyOpenFiles {
                (self as? Connection)?.node.reportShortage(error, during: "file")
            }
            throw error
        }
    }
}
