import CParley
import Parley

/// The object that a `parley_transport *` points to: a transport, and the callbacks of its program.
///
/// `@unchecked Sendable`: the callbacks never change. parley.h says on which threads they are called.
final class ForeignNode: @unchecked Sendable {
    /// Set once, right after the init: the transport has this object as its observer.
    private(set) var transport: TCPTransport!
    /// The transport's node. The transport keeps it alive.
    private(set) var node: Unmanaged<Node>!
    let handshakes: HandshakeThreads
    /// The reconnections to the addresses that the node stays connected to, by the address as it was given.
    let kept = Lock<[String: Reconnection]>([:])
    /// The two-way streams that the program has.
    let streams = ForeignPeerStreams()
    private let callbacks: Callbacks
    private let log: ForeignLog?
    /// This object, for the handshakes that the transport starts; nil once the program's data is destroyed.
    /// Not a weak reference: that would move the reference count to a side table and slow every call of the
    /// library.
    private let handshakeNode = Lock<ForeignNode?>(nil)

    /// The callbacks of `parley_options`, and their `userdata`.
    struct Callbacks {
        let userdata: UnsafeMutableRawPointer?
        let destroyUserdata: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?
        let onPeer: (@convention(c) (OpaquePointer?, parley_peer, UnsafeMutableRawPointer?) -> Int32)?
        let onDisconnect:
            (
                @convention(c) (
                    OpaquePointer?, parley_peer, Int32, UnsafePointer<CChar>?, UnsafeMutableRawPointer?
                ) -> Void
            )?
        let onRPCs:
            (
                @convention(c) (OpaquePointer?, UnsafePointer<parley_rpc>?, Int, UnsafeMutableRawPointer?) ->
                    Void
            )?
    }

    init(_ foreign: parley_options, _ options: TransportOptions) {
        handshakes = HandshakeThreads(
            maxInbound: options.limits.maxHandshakes,
            maxOutbound: options.limits.maxOutboundPeers
        )
        callbacks = Callbacks(
            userdata: foreign.userdata,
            destroyUserdata: foreign.destroy_userdata,
            onPeer: foreign.on_peer,
            onDisconnect: foreign.on_disconnect,
            onRPCs: foreign.on_rpcs
        )
        log = ForeignLog(foreign)
        var options = options
        if let log { options.logger = log.makeLogger() }
        if let gate = foreign.gate {
            let call = Foreign((gate, foreign.userdata))
            options.gate = Gate { address, isOutbound in
                address.description.withCString { call.value.0($0, isOutbound, call.value.1) }
            }
        }
        if let allow = foreign.allow {
            let call = Foreign((allow, foreign.userdata))
            options.security.allowed = options.security.allowed.or { [handshakes] peer in
                await handshakes.ask(peer.isOutbound ? .outbound : .inbound) {
                    peer.id.description.withCString { call.value.0($0, peer.isOutbound, call.value.1) }
                }
            }
        }
        if let handshake = foreign.handshake {
            let call = Foreign((handshake, foreign.userdata))
            options.handshake = { [handshakeNode] peer in
                guard let handshakeNode = handshakeNode.withLock({ $0 }) else {
                    throw ParleyError(.closed, "the transport is closed")
                }
                try await handshakeNode.runHandshake(peer, call)
            }
        }
        transport = TCPTransport(options, observer: self)
        node = Unmanaged.passUnretained(transport.node)
        handshakeNode.withLock { $0 = self }
    }

    /// Runs the handshake callback on a handshake thread, where it may block.
    private func runHandshake(
        _ peer: any Peer,
        _ call: Foreign<
            (
                @convention(c) (OpaquePointer?, parley_peer, UnsafeMutableRawPointer?) -> Int32,
                UnsafeMutableRawPointer?
            )
        >
    ) async throws {
        guard let connection = peer as? Connection else { return }
        let result: Result<Int32, ParleyError> = await withUnsafeContinuation { continuation in
            do throws(ParleyError) {
                try handshakes.run(connection.isOutbound ? .outbound : .inbound) { [self] in
                    // The connection may have ended before the thread started the work.
                    guard connection.handshakeBegins() else {
                        return continuation.resume(
                            returning: .failure(ParleyError(.closed, "\(connection) is gone"))
                        )
                    }
                    let (handshake, userdata) = call.value
                    let code = handshake(handle(self), connection.number, userdata)
                    continuation.resume(returning: .success(code))
                }
            } catch { continuation.resume(returning: .failure(error)) }
        }
        connection.handshakeReturned()
        let code = try result.get()
        if code < 0 { throw ForeignFailure(code: code) }
    }

    /// Closes the transport. No callback is called afterwards.
    func close() throws {
        guard !HandshakeThreads.isCurrent else {
            throw ParleyError(.wouldDeadlock, "closing a transport waits for handshakes, and this is one")
        }
        let what = "closing the transport"
        // First: a refused close changes nothing.
        try checkMayBlock(what)
        streams.endAccepting()
        try blocking(what) { [self] in await transport.close() }
        handshakes.stop()
        log?.silence()
    }

    /// Destroys the program's data. Called after ``close()``.
    func destroyUserdata() {
        handshakeNode.withLock { $0 = nil }
        streams.removeAll()
        callbacks.destroyUserdata?(callbacks.userdata)
    }
}

// MARK: - What happens on the loop

extension ForeignNode: PeerObserver {
    var takesRPCs: Bool { callbacks.onRPCs != nil }

    func peerDidConnect(_ peer: Connection) throws {
        guard let onPeer = callbacks.onPeer else { return }
        let result = onPeer(handle(self), peer.number, callbacks.userdata)
        if result < 0 { throw ForeignFailure(code: result) }
    }

    func peerDidDisconnect(_ peer: Connection, _ reason: ParleyError) {
        guard let onDisconnect = callbacks.onDisconnect else { return }
        reason.message.withCString { message in
            onDisconnect(handle(self), peer.number, reason.code.rawValue, message, callbacks.userdata)
        }
    }

    func didReceive(_ runs: [MessageRun], from peer: Connection) {
        for run in runs {
            let messages = (0..<run.count).map { run.bounds(at: $0) }
            withUnsafePointer(to: run) {
                call(run.block.span, messages, from: peer, run.kind, run: $0)
            }
        }
    }

    func didReceive(_ bytes: Span<UInt8>, _ messages: [Range<Int>], from peer: Connection) {
        call(bytes, messages, from: peer, .messages, run: nil)
    }

    /// - Parameter run: the run whose block is `bytes`; nil when they are borrowed.
    private func call(
        _ bytes: Span<UInt8>,
        _ messages: [Range<Int>],
        from peer: Connection,
        _ kind: MessageRun.Kind,
        run: UnsafePointer<MessageRun>?
    ) {
        guard let onRPCs = callbacks.onRPCs else { return }
        let number = peer.number
        let lent = LentRPCs(peer: Unmanaged.passUnretained(peer), run: run)
        bytes.withUnsafeBufferPointer { bytes in
            lent.lend { owner in
                withUnsafeTemporaryAllocation(of: parley_rpc.self, capacity: messages.count) { rpcs in
                    for index in messages.indices {
                        let rpc = parley_rpc(bytes, messages[index], number, kind, owner: owner)
                        rpcs.initializeElement(at: index, to: rpc)
                    }
                    onRPCs(handle(self), rpcs.baseAddress, rpcs.count, callbacks.userdata)
                }
            }
        }
    }
}

extension parley_rpc {
    /// A message inside `bytes`, as C sees it.
    init(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ message: Range<Int>,
        _ peer: parley_peer,
        _ kind: MessageRun.Kind,
        owner: UnsafeMutableRawPointer?
    ) {
        var (stream, request) = (false, false)
        let number: UInt32
        switch kind {
        case .messages: number = 0
        case .stream(let opening): (stream, number) = (true, opening)
        case .request(let question): (request, number) = (true, question)
        }
        self.init(
            peer: peer,
            payload: message.isEmpty ? nil : bytes.baseAddress! + message.lowerBound,
            length: message.count,
            stream: stream,
            kind: UInt8((request ? PARLEY_RPC_REQUEST : PARLEY_RPC_RECEIVED).rawValue),
            reason: 0,
            request: number,
            peer_stream: 0,
            owner: owner
        )
    }

    /// Makes it an event of its peer.
    mutating func tell(_ event: PeerEvent) {
        switch event {
        case .connected: kind = UInt8(PARLEY_RPC_CONNECTED.rawValue)
        case .disconnected(let code):
            kind = UInt8(PARLEY_RPC_DISCONNECTED.rawValue)
            reason = code
        case .writable: kind = UInt8(PARLEY_RPC_WRITABLE.rawValue)
        case .readable: kind = UInt8(PARLEY_RPC_READABLE.rawValue)
        case .streamAccepted(let number): tell(PARLEY_RPC_STREAM_ACCEPTED, number)
        case .streamWritable(let number): tell(PARLEY_RPC_STREAM_WRITABLE, number)
        case .streamReadable(let number): tell(PARLEY_RPC_STREAM_READABLE, number)
        }
    }

    private mutating func tell(_ kind: parley_rpc_kind, _ stream: parley_peer_stream) {
        self.kind = UInt8(kind.rawValue)
        peer_stream = stream
    }
}
