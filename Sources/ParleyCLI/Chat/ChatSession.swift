import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The common part of `listen` and `dial`: shows received messages, and sends the lines of standard input.
struct ChatSession: Sendable {
    let transport: TCPTransport
    let options: CommonOptions
    /// What asks about unknown nodes; nil when nobody comes in. A line that is typed while it asks is for it.
    var newcomers: Newcomers?

    private static let readBytes = 65_536

    /// Shows what peers send, until the transport is closed or the task is cancelled.
    func show() async {
        await withDiscardingTaskGroup { group in
            for await rpc in transport.consume() {
                // The sequence itself notices only when nothing is there, and a peer may never pause.
                if Task.isCancelled { break }
                if rpc.stream {
                    Console.line("\(rpc.from) opened a stream")
                    group.addTask { await readStream(of: rpc.peer) }
                } else {
                    Console.line("\(rpc.from)> \(String(printable: rpc.payload))")
                    // A peer that takes nothing holds up its own refusals alone.
                    if rpc.request != nil { group.addTask { await rpc.refuseRequest() } }
                }
                await Console.waitForRoom()
            }
        }
    }

    /// Reads a stream to its end and shows its length. Without the framed wire form it ends with the
    /// connection.
    private func readStream(of peer: any Peer) async {
        var byteCount = 0
        let ending: String
        do {
            while !Task.isCancelled, let bytes = try await peer.read(upTo: Self.readBytes) {
                byteCount += bytes.count
            }
            ending = Task.isCancelled ? " until now" : ""
        } catch let error where error.code == .closed || error.code == .cancelled {
            ending = " until now"
        } catch {
            ending = ", then: \(error.message)"
        }
        Console.line("\(peer.remoteAddress) sent a stream of \(byteCount.inBytes)\(ending)")
        peer.closeStream()
    }

    /// Sends each line of standard input to all of `peers`; returns at the end of the input.
    ///
    /// - Returns: whether all of it could be sent. What could not be has a line on standard error. A
    ///   connection that ends does not count: whoever knows its end says what it means.
    func sendLines(to peers: @escaping @Sendable () -> [any Peer]) async -> Bool {
        var isWhole = true
        do throws(SystemError) {
            try await StandardInput.forEachLine(maxBytes: options.codec.maxMessageBytes) { line in
                if let newcomers, newcomers.take(line) { return }
                if await !send(line, to: peers()) { isWhole = false }
            }
        } catch {
            // A descriptor that is not open for reading has no lines. nohup(1) gives such a one.
            guard error.code != EBADF else { return isWhole }
            Console.error("cannot read standard input: \(error.reason)")
            isWhole = false
        }
        return isWhole
    }

    /// Returns whether the line could be sent.
    private func send(_ line: InputLine, to peers: [any Peer]) async -> Bool {
        switch line {
        case .text(let bytes): return await send(bytes, to: peers)
        case .tooLong(let byteCount):
            Console.error(
                "a line of \(byteCount) bytes was not sent: "
                    + "the \(options.codec) wire form carries at most \(options.codec.maxMessageBytes)"
            )
            return false
        }
    }

    private func send(_ line: [UInt8], to peers: [any Peer]) async -> Bool {
        var isSent = true
        if peers.isEmpty {
            Console.error("a line was not sent: nobody is connected")
            isSent = false
        }
        for peer in peers {
            do {
                try await peer.send(message: line)
            } catch let error where error.code == .invalidArgument || error.code == .messageTooLong {
                // The line is invalid, so it cannot be sent to any peer.
                Console.error("a line was not sent: \(error.message)")
                return false
            } catch let error where error.code == .timedOut {
                Console.error("a line was not sent to \(peer.remoteAddress): \(error.message)")
                isSent = false
            } catch {
                // The connection is ending; `onDisconnect` reports that.
            }
        }
        return isSent
    }
}

extension RPC {
    /// Refuses a request, so that the asker does not wait for its time-out.
    func refuseRequest() async {
        // A failure is that of a connection that ends.
        try? await refuse(reason: "this program answers no requests")
    }
}
