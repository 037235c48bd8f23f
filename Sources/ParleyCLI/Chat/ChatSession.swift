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
                    group.addTask { await take(rpc) }
                } else {
                    Console.line("\(rpc.from)> \(String(printable: rpc.payload))")
                    // A peer that takes nothing holds up its own refusals alone.
                    if rpc.request != nil { group.addTask { await rpc.refuseRequest() } }
                }
                await Console.waitForRoom()
            }
        }
    }

    /// Shows a stream. Refuses it first when it offers files, since their sender waits for an answer. Offers
    /// are recognized by the stream's header, which only some wire forms have.
    private func take(_ rpc: RPC) async {
        if rpc.payload.starts(with: TransferRecord.name) {
            let refusal = TransferAnswer.refusal("this node shows messages; parley receive takes files")
            // A sender that has gone needs no refusal.
            try? await rpc.peer.send(message: refusal)
        }
        await readStream(of: rpc.peer)
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
    /// - Returns: the worst outcome of a line.
    func sendLines(to peers: @escaping @Sendable () -> [any Peer]) async -> SendOutcome {
        var outcome = SendOutcome.sent
        do throws(SystemError) {
            let isWhole = try await StandardInput.forEachLine(maxBytes: options.codec.maxMessageBytes) {
                line in
                if let newcomers, newcomers.take(line) { return }
                outcome = max(outcome, await send(line, to: peers()))
            }
            if !isWhole { outcome = .cutShort }
        } catch {
            // A descriptor that is not open for reading has no lines. nohup(1) gives such a one.
            guard error.code != EBADF else { return outcome }
            Console.error("cannot read standard input: \(error.reason)")
            outcome = max(outcome, .failed)
        }
        return outcome
    }

    private func send(_ line: InputLine, to peers: [any Peer]) async -> SendOutcome {
        switch line {
        case .text(let bytes): return await send(bytes, to: peers)
        case .tooLong(let byteCount):
            Console.error(
                "a line of \(byteCount) bytes was not sent: "
                    + "the \(options.codec) wire form carries at most \(options.codec.maxMessageBytes)"
            )
            return .failed
        }
    }

    private func send(_ line: [UInt8], to peers: [any Peer]) async -> SendOutcome {
        var outcome = SendOutcome.sent
        if peers.isEmpty {
            Console.error("a line was not sent: nobody is connected")
            outcome = .failed
        }
        for peer in peers {
            do {
                try await peer.send(message: line)
            } catch let error where error.code == .invalidArgument || error.code == .messageTooLong {
                // The line is invalid, so it cannot be sent to any peer.
                Console.error("a line was not sent: \(error.message)")
                return .failed
            } catch let error where error.code == .timedOut {
                Console.error("a line was not sent to \(peer.remoteAddress): \(error.message)")
                outcome = max(outcome, .failed)
            } catch {
                // The connection is ending; whoever knows its end says what it means.
                outcome = .cutShort
            }
        }
        return outcome
    }
}

/// What has become of lines of standard input, from good to bad.
enum SendOutcome: Comparable {
    case sent
    /// A line was not sent, and this has a line on standard error.
    case failed
    /// A connection has ended before, and nothing is printed about it here.
    case cutShort
}

extension RPC {
    /// Refuses a request, so that the asker does not wait for its time-out.
    func refuseRequest() async {
        // A failure is that of a connection that ends.
        try? await refuse(reason: "this program answers no requests")
    }
}
