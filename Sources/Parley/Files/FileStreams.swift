/// Files as streams.
extension Peer {
    /// Sends a file, or a part of it, as one stream.
    ///
    /// The kernel moves the bytes from file to socket where wire form and platform allow it (sendfile(2)), on
    /// the transport's thread: a file that is not in memory yet may hold the other peers up for as long as
    /// the disk takes. When the socket is full, or where there is no sendfile, the next
    /// piece is read on that thread too. Opening the file, and reading it for wire forms that have to see its
    /// bytes, happens on libuv's thread pool; for a peer that is not one of the
    /// library's, on the caller's executor.
    ///
    /// - Parameters:
    ///   - path: a regular file. It is an error when it gets shorter meanwhile, and then the connection ends.
    ///   - header: the stream's header, for wire forms that carry one.
    ///   - offset: where to begin, in bytes.
    ///   - length: how many bytes; nil means to the end.
    ///   - progress: called now and then with the bytes that were accepted so far.
    /// - Returns: the number of bytes sent.
    /// - Throws: ``ParleyError``: `fileNotFound`, `permissionDenied`, `invalidArgument` (not a regular file,
    ///   or a range outside it), and what ``Peer/openStream(header:)`` throws. A failure behind the opening
    ///   aborts the stream.
    @discardableResult
    public func sendStream(
        contentsOf path: String,
        header: ArraySlice<UInt8> = [],
        offset: Int = 0,
        length: Int? = nil,
        progress: (Int) -> Void = { _ in }
    ) async throws(ParleyError) -> Int {
        let (file, size) = try await opening { () throws(ParleyError) in
            let file = try File(reading: path)
            return (file, try file.version().size)
        }
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
                    try await writer.write(offload { () throws(ParleyError) in try range.read() }.value)
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

    /// Reads the open stream into a new file, under a temporary name beside it until it is whole, and closes
    /// the stream.
    ///
    /// Never replaces a file. On failure, cancellation included, nothing is left behind, and the stream is
    /// closed as well: in a wire form whose streams have an end, the connection stays in step. The file is
    /// made, written, completed on the disk and removed on libuv's thread pool, a piece while the next one
    /// arrives; for a peer that is not one of the library's, on the caller's executor.
    ///
    /// - Parameters:
    ///   - path: the file to make. Check a name that came from a stranger first.
    ///   - byteCount: how many bytes to take; nil takes all until the stream's end.
    ///   - progress: called now and then with the bytes that were written so far.
    /// - Returns: the number of bytes written.
    /// - Throws: ``ParleyError``: `fileExists`, `fileNotFound` (no such folder), `permissionDenied`,
    ///   `invalidArgument` (a path that ends without a name), and what ``Peer/read(upTo:)`` throws;
    ///   `endOfStream` when fewer than `byteCount` come.
    @discardableResult
    public func receiveStream(
        into path: String,
        byteCount: Int? = nil,
        progress: (Int) -> Void = { _ in }
    ) async throws(ParleyError) -> Int {
        defer { closeStream() }
        let file = try await opening { () throws(ParleyError) in try NewFile(path) }
        do {
            let written = try await receive(into: file, byteCount: byteCount, progress: progress)
            try await offload { () throws(ParleyError) in try file.publish() }.value
            return written
        } catch {
            try await offload { () throws(ParleyError) in file.discard() }.value
            throw error
        }
    }

    /// Writes the stream's bytes to `file`: one piece while the next one arrives.
    private func receive(
        into file: NewFile,
        byteCount: Int?,
        progress: (Int) -> Void
    ) async throws(ParleyError) -> Int {
        var chunks = chunks(byteCount: byteCount, chunkBytes: 256 * 1024).makeAsyncIterator()
        var written = 0
        var writing: Offloaded<Int>?
        func finishWriting() async throws(ParleyError) {
            guard let work = writing else { return }
            written += try await work.value
            progress(written)
        }
        while let chunk = try await chunks.next() {
            try await finishWriting()
            writing = offload { () throws(ParleyError) in
                try file.write(chunk)
                return chunk.count
            }
        }
        try await finishWriting()
        return written
    }
}

/// How much of a file is queued at once: what progress and aborts are measured in.
private let filePieceBytes = 1 << 20

extension Peer {
    /// Begins work that may wait for the disk where it holds nobody up. For a peer of the application's own
    /// it is done right here, unless this is a loop's thread.
    private func offload<Success: Sendable>(
        _ work: @escaping @Sendable () throws(ParleyError) -> Success
    ) -> Offloaded<Success> {
        let loop = (self as? Connection)?.loop ?? EventLoop.current
        return loop?.offload(work) ?? Offloaded(Result(catching: work))
    }

    /// Opens a file; the node hears of it when there is no descriptor for it.
    private func opening<Opened: Sendable>(
        _ open: @escaping @Sendable () throws(ParleyError) -> Opened
    ) async throws(ParleyError) -> Opened {
        do { return try await offload(open).value } catch {
            if error.code == .tooManyOpenFiles {
                (self as? Connection)?.node.reportShortage(error, during: "file")
            }
            throw error
        }
    }
}
