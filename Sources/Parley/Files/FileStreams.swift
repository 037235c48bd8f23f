/// Files as streams.
extension Peer {
    /// Sends a file, or a part of it, as one stream.
    ///
    /// The kernel moves the bytes from file to socket where wire form and platform allow it (sendfile(2)), on
    /// the transport's thread: a file that is not in memory yet may hold the other peers up for as long as
    /// the disk takes. When the socket is full, or where there is no sendfile, the next piece is read on that
    /// thread too. Opening the file, and reading it for wire forms that have to see its bytes, happens on
    /// libuv's thread pool; for a peer that is not one of the library's, on the caller's executor.
    ///
    /// - Parameters:
    ///   - prefix: bytes of the stream before the file's, such as its length for wire forms without headers.
    ///   - path: a regular file. It is an error when it gets shorter meanwhile, and then the connection ends;
    ///     in multiplexed and libp2p the stream alone. A pseudo-file (in /proc or /sys), which does not say
    ///     how long it is, is read to its end.
    ///   - header: the stream's header, for wire forms that carry one.
    ///   - offset: where to begin, in bytes.
    ///   - length: how many bytes; nil means to the end.
    ///   - progress: called now and then with the bytes of the file that were accepted so far.
    /// - Returns: the number of bytes of the file that were sent.
    /// - Throws: ``ParleyError``: `fileNotFound`, `permissionDenied`, `tooManyOpenFiles`, `invalidArgument`
    ///   (not a regular file, or a range outside it), `truncated` (the file got shorter), and what
    ///   ``Peer/openStream(header:)`` throws. A failure behind the opening aborts the stream.
    @discardableResult
    public func sendStream(
        prefix: ArraySlice<UInt8> = [],
        contentsOf path: String,
        header: ArraySlice<UInt8> = [],
        offset: Int = 0,
        length: Int? = nil,
        progress: (Int) -> Void = { _ in }
    ) async throws(ParleyError) -> Int {
        let part = try await opening(for: self as? Connection) { () throws(ParleyError) in
            try FilePart(of: path, offset: offset, length: length)
        }
        let writer = try await openPartialStream(header: header)
        do {
            if !prefix.isEmpty { try await writer.write(prefix) }
            var sent = 0
            try await writer.write(part, sent: &sent, progress: progress)
            try await writer.finish()
            return sent
        } catch {
            await writer.abort(code: 0, reason: error.message)
            throw error
        }
    }

    /// Reads the open stream into a new file, under a temporary name beside it until it is whole, and closes
    /// the stream. For the wire forms with one stream at a time; ``RPC/body`` has
    /// ``PeerStream/receive(into:replacing:byteCount:progress:)`` in all of them.
    ///
    /// Replaces a file only when asked, in one step: its name stands for the whole old file or for the whole
    /// new one. On failure, cancellation included, nothing is left behind, and the stream is
    /// closed as well: in a wire form whose streams have an end, the connection stays in step. The file is
    /// made, written, completed on the disk and removed on libuv's thread pool, a piece while the next one
    /// arrives; for a peer that is not one of the library's, on the caller's executor.
    ///
    /// - Parameters:
    ///   - path: the file to make. Check a name that came from a stranger first.
    ///   - replacing: whether to take the place of a file that has the name already. A symbolic link is
    ///     replaced itself, not what it leads to. The new file's owner and mode are those of any new file.
    ///   - byteCount: how many bytes to take; nil takes all until the stream's end.
    ///   - progress: called now and then with the bytes that were written so far.
    /// - Returns: the number of bytes written.
    /// - Throws: ``ParleyError``: `fileExists` (also for `replacing`, in place of a folder: `system`),
    ///   `fileNotFound` (no such folder), `permissionDenied`, `tooManyOpenFiles`,
    ///   `invalidArgument` (a path that ends without a name), and what ``Peer/read(upTo:)`` throws, which is
    ///   `unsupported` in multiplexed and libp2p; `endOfStream` when fewer than `byteCount` come; `closed`
    ///   when ``Peer/closeStream()`` is called meanwhile.
    @discardableResult
    public func receiveStream(
        into path: String,
        replacing: Bool = false,
        byteCount: Int? = nil,
        progress: (Int) -> Void = { _ in }
    ) async throws(ParleyError) -> Int {
        try await PeerStream(only: self).receive(
            into: path,
            replacing: replacing,
            byteCount: byteCount,
            progress: progress
        )
    }
}

extension PeerStream {
    /// Reads the stream to its end, into a new file; see
    /// ``Peer/receiveStream(into:replacing:byteCount:progress:)``, which has the same arguments, results and
    /// errors, but for `unsupported`.
    ///
    /// A stream with a name stays open then: the other side may wait for an answer. One that an RPC has
    /// announced (``RPC/body``) is closed. When this throws, the stream is aborted, so that the other side
    /// does not take the file for received.
    @discardableResult
    public func receive(
        into path: String,
        replacing: Bool = false,
        byteCount: Int? = nil,
        progress: (Int) -> Void = { _ in }
    ) async throws(ParleyError) -> Int {
        do {
            let written = try await receiveFile(path, replacing, byteCount, progress)
            if protocolName.isEmpty { close() }
            return written
        } catch {
            abort(code: 0)
            throw error
        }
    }

    private func receiveFile(
        _ path: String,
        _ isReplacing: Bool,
        _ byteCount: Int?,
        _ progress: (Int) -> Void
    ) async throws(ParleyError) -> Int {
        let file = try await opening(for: connection) { () throws(ParleyError) in try NewFile(path) }
        do {
            let written = try await receive(into: file, byteCount: byteCount, progress: progress)
            try await offload(for: connection) { () throws(ParleyError) in
                if isReplacing { try file.publishReplacing() } else { try file.publish() }
            }.value
            return written
        } catch {
            try await offload(for: connection) { () throws(ParleyError) in file.discard() }.value
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
            writing = offload(for: connection) { () throws(ParleyError) in
                try file.write(chunk)
                return chunk.count
            }
        }
        try await finishWriting()
        return written
    }
}

extension StreamWriter {
    /// Sends a file, or a part of it, as the next bytes of the stream; see
    /// ``Peer/sendStream(prefix:contentsOf:header:offset:length:progress:)``. The stream stays open, also
    /// when this throws: finish or abort it.
    ///
    /// - Parameters:
    ///   - path: a regular file. It is an error when it gets shorter meanwhile, and then the connection ends;
    ///     in multiplexed and libp2p the stream alone, which has to be aborted.
    ///   - offset: where to begin, in bytes.
    ///   - length: how many bytes; nil means to the end.
    ///   - progress: called now and then with the bytes of the file that were accepted so far.
    /// - Returns: the number of bytes sent.
    /// - Throws: ``ParleyError``: `fileNotFound`, `permissionDenied`, `tooManyOpenFiles`, `invalidArgument`
    ///   (not a regular file, or a range outside it), `truncated` (the file got shorter), and what
    ///   ``write(_:)-(ArraySlice<UInt8>)`` throws.
    @discardableResult
    public func write(
        contentsOf path: String,
        offset: Int = 0,
        length: Int? = nil,
        progress: (Int) -> Void = { _ in }
    ) async throws(ParleyError) -> Int {
        let connection = ownConnection
        let part = try await opening(for: connection) { () throws(ParleyError) in
            try FilePart(of: path, offset: offset, length: length)
        }
        let own = self as? ConnectionStreamWriter
        let isNewPart = own?.beginPart() ?? false
        var sent = 0
        do throws(ParleyError) {
            try await write(part, sent: &sent, progress: progress)
        } catch {
            // Nothing of it is in the stream: that lacks nothing.
            if isNewPart, sent == 0 { own?.endPart() }
            throw error
        }
        if isNewPart { own?.endPart() }
        return sent
    }

    /// The library's connection that it writes to; nil for a writer of the application's own.
    private var ownConnection: Connection? {
        (self as? ConnectionStreamWriter)?.connection ?? (self as? PeerStream)?.connection
    }

    /// Sends the part in pieces. `sent` counts the bytes that were accepted.
    fileprivate func write(
        _ part: FilePart,
        sent: inout Int,
        progress: (Int) -> Void
    ) async throws(ParleyError) {
        // The kernel moves the bytes, unless they share their connection with other streams.
        let own = self as? ConnectionStreamWriter
        while sent < part.length ?? .max {
            let count = min(filePieceBytes, (part.length ?? .max) - sent)
            let range = FileRange(part.file, offset: part.offset + sent, count: count)
            if part.isMeasured, let own {
                try await own.write(range)
                sent += count
            } else {
                let piece = try await offload(for: ownConnection) { () throws(ParleyError) in
                    try part.isMeasured ? range.read() : part.file.read(at: range.offset, upTo: count)
                }.value
                if !piece.isEmpty { try await write(piece[...]) }
                sent += piece.count
                if piece.count < count {
                    guard part.length == nil else { throw part.file.shrunk }
                    return progress(sent)
                }
            }
            progress(sent)
        }
    }
}

/// The part of a file that is sent.
private struct FilePart {
    let file: File
    let offset: Int
    /// In bytes; nil means to the end of a file that does not say where that is.
    let length: Int?
    /// Whether the file has the size that it names.
    let isMeasured: Bool

    /// Opens the file and checks that it has the part. Blocks.
    init(of path: String, offset: Int, length: Int?) throws(ParleyError) {
        file = try File(reading: path)
        self.offset = offset
        isMeasured = try file.isMeasured()
        let (end, isTooFar) = offset.addingReportingOverflow(length ?? 0)
        guard offset >= 0, length ?? 0 >= 0, !isTooFar else {
            throw ParleyError(
                .invalidArgument,
                "\(path): a part of it from \(offset) on, \(length ?? 0) bytes"
            )
        }
        guard isMeasured else {
            guard try file.hasByte(before: end) else {
                throw ParleyError(.invalidArgument, "\(path) is shorter than \(end) bytes")
            }
            self.length = length
            return
        }
        let size = try file.version().size
        guard end <= size else {
            throw ParleyError(
                .invalidArgument,
                "\(path) has \(size) bytes: the range asked for is outside it"
            )
        }
        self.length = length ?? size - offset
    }
}

/// How much of a file is queued at once: what progress and aborts are measured in.
private let filePieceBytes = 1 << 20

/// Begins work that may wait for the disk where it holds nobody up. Without a connection, for a peer of the
/// application's own, it is done right here, unless this is a loop's thread.
private func offload<Success: Sendable>(
    for connection: Connection?,
    _ work: @escaping @Sendable () throws(ParleyError) -> Success
) -> Offloaded<Success> {
    let loop = connection?.loop ?? EventLoop.current
    return loop?.offload(work) ?? Offloaded(Result(catching: work))
}

/// Opens a file; the connection's node hears of it when there is no descriptor for it.
private func opening<Opened: Sendable>(
    for connection: Connection?,
    _ open: @escaping @Sendable () throws(ParleyError) -> Opened
) async throws(ParleyError) -> Opened {
    try ForkedChild.check()
    do { return try await offload(for: connection, open).value } catch {
        if error.code == .tooManyOpenFiles { connection?.node.reportShortage(error, during: "file") }
        throw error
    }
}
