// What a node decides about the streams of its peers: who takes them, and how many there may be.

/// Takes a stream that a peer has opened. It is called on the peer's loop's thread and must not block.
package typealias StreamAcceptor = @Sendable (PeerStream) -> Void

extension Node {
    /// Sets who takes the streams of a protocol; nil for nobody. Any thread.
    package func accept(_ name: String, _ acceptor: StreamAcceptor?) throws(ParleyError) {
        try ForkedChild.check()
        guard Multistream.isName(name), isFree(name) else {
            throw Multistream.impossible(name)
        }
        guard options.decoder.isMultiplexed else {
            throw ParleyError(.unsupported, "streams with names need the wire form multiplexed")
        }
        // The old one is released after the lock: what it refers to may use this node.
        let old = acceptors.withLock { acceptors in
            defer { acceptors[name] = acceptor }
            return acceptors[name]
        }
        guard (old == nil) != (acceptor == nil) else { return }
        // Behind the change: who is told meanwhile is told again, at worst.
        protocolsEpoch.add(1, ordering: .sequentiallyConsistent)
        protocolsHaveChanged()
    }

    /// Who takes the streams of a protocol; nil when nobody does.
    package func acceptor(of name: String) -> StreamAcceptor? { acceptors.withLock { $0[name] } }

    /// Whether somebody takes them. Its closure is not copied: the caller holds the lock of a connection's
    /// streams, under which the last reference to a closure, and to what it captures, must not go.
    private func hasAcceptor(of name: String) -> Bool { acceptors.withLock { $0[name] != nil } }

    /// What one connection's streams may take.
    var muxLimits: MuxLimits {
        let limits = options.limits
        var mux = MuxLimits()
        // One more: the other side's messages have a stream.
        mux.maxRemoteStreams = limits.maxStreamsPerPeer.addingOne
        mux.maxUnaccepted = max(mux.maxUnaccepted, mux.maxUnacknowledged)
        mux.streamsPerSecond = limits.streamsPerSecond
        let streamBytes = min(limits.streamBytesPerPeer, limits.receiveBufferBytes)
        // And two more windows, one for the messages of each side.
        mux.maxGrantedBytes = min(streamBytes, .max / 2) + 2 * Int(YamuxHeader.initialWindowBytes)
        mux.maxWindowBytes = UInt32(clamping: min(streamBytes, Int(mux.maxWindowBytes)))
        // rust-libp2p takes so many by default, of both sides together, and none any more after one too many.
        if options.decoder.layers == .libp2p { mux.maxStreams = 512 }
        return mux
    }

    /// The rules for one connection's streams.
    func streamRules(_ remote: SocketAddress) -> Channels.Rules {
        Channels.Rules(
            isSupported: { [unowned self] in hasAcceptor(of: $0) },
            admits: { [unowned self] in
                guard streamCount.add(1, ordering: .relaxed).newValue > options.limits.maxStreams else {
                    return true
                }
                streamCount.subtract(1, ordering: .relaxed)
                return false
            },
            removed: { [unowned self] in streamCount.subtract(1, ordering: .relaxed) },
            maxHeaderBytes: bounds.maxMessageBytes,
            remote: "\(remote)"
        )
    }

    /// A stream of a peer was reset because of a limit.
    func streamWasRefused(_ refusal: MuxRefusal, by connection: Connection?) {
        guard let connection else { return }
        logThrottled(
            .notice,
            .streamRefused,
            key: "\(refusal)",
            ["peer": "\(connection.remoteAddress)", "reason": "\(refusal)"]
        )
    }
}

extension Int {
    fileprivate var addingOne: Int { self == .max ? self : self + 1 }
}

/// Runs a handler of streams, each call in a task of its own.
struct StreamHandler: Sendable {
    let handler: @Sendable (PeerStream) async throws -> Void

    init(_ handler: @escaping @Sendable (PeerStream) async throws -> Void) { self.handler = handler }

    var acceptor: StreamAcceptor {
        { stream in
            Task.detached(executorPreference: globalConcurrentExecutor) {
                do {
                    try await handler(stream)
                    stream.close()
                } catch {
                    stream.abort(code: 0)
                    guard let connection = stream.connection else { return }
                    connection.node.logThrottled(
                        .debug,
                        .streamFailed,
                        key: "",
                        [
                            "peer": "\(connection.remoteAddress)", "protocol": "\(stream.protocolName)",
                            "error": "\(error)",
                        ]
                    )
                }
            }
        }
    }
}
