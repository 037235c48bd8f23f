// From a connected link to one whose other side is known and allowed. It comes after the gates by address and
// before the handshake. The connection's loop's thread; of a connection that is being made, any.

extension Node {
    /// Makes the link of a connection out of a new socket or pipe: secured, multiplexed, both, or as it is.
    ///
    /// - Parameter expected: the only id that may answer a dial; nil for any.
    func link(
        over lowest: any Link,
        on context: LoopContext,
        isOutbound: Bool,
        remote: SocketAddress,
        expecting expected: PeerID?
    ) -> any Link {
        var link = lowest
        if securesLinks, let security = options.security.link {
            let isLibP2P = options.decoder.layers == .libp2p
            let session = security.makeSession(
                isInitiator: isOutbound,
                expecting: expected,
                offering: isLibP2P ? LibP2P.streamMuxers : []
            )
            link = SecuredLink(
                over: link,
                session: session,
                negotiatingAs: isLibP2P ? (isOutbound ? .dialer : .listener) : nil,
                turns: context.securing,
                on: context.loop
            )
        }
        guard options.decoder.isMultiplexed else { return link }
        return MultiplexedLink(over: link, isDialer: isOutbound, remote: remote, context: context)
    }

    /// Begins to secure an adopted connection's link. The time-out of the handshake starts here.
    func beginSecuring(_ connection: Connection) {
        connection.startHandshakeTimer()
        guard let link = connection.link as? SecuredLink ?? connection.multiplexed?.secured else {
            return connection.fail(ParleyError(.securityFailed, "\(connection.remoteAddress) is not secured"))
        }
        link.beginHandshake()
    }

    /// The other side has proven its id. Lets the connection go on to its handshake if the id is allowed.
    func secured(_ connection: Connection, by id: PeerID) {
        guard connection.isLive else { return }
        guard !state.withLock({ $0.admission.bans.contains(id) }) else {
            return refuse(connection, id, .banned, "is banned")
        }
        let allowed = options.security.allowed
        if let isAllowed = allowed.decides(id) { return decide(isAllowed, id, connection) }
        if let limit = allowed.limit { connection.startHandshakeTimer(limit.inMilliseconds) }
        let task = Task.detached(executorPreference: globalConcurrentExecutor) { [self] in
            let isAllowed = await allowed.asks(about: connection, id)
            connection.loop.perform { [self] in
                guard connection.isLive else { return }
                if allowed.limit != nil { connection.startHandshakeTimer() }
                decide(isAllowed, id, connection)
            }
        }
        // Cancelled when the connection ends.
        state.withLock { $0.connections.change(connection.number) { $0.handshake.runs(in: task) } }
    }

    private func decide(_ isAllowed: Bool, _ id: PeerID, _ connection: Connection) {
        guard isAllowed else { return refuse(connection, id, .identityNotAllowed, "is not allowed") }
        guard !losesToOlder(connection) else {
            return refuse(connection, id, .duplicate, "has another connection, which stays")
        }
        beginHandshake(with: connection)
    }

    /// Ends a connection whose id is not wanted. The other side learns nothing but the end.
    private func refuse(_ connection: Connection, _ id: PeerID, _ code: ParleyError.Code, _ why: String) {
        count { $0.refusals[code, default: 0] &+= 1 }
        logThrottled(
            .notice,
            .connectionRefused,
            key: code.description,
            ["peer": "\(connection.remoteAddress)", "id": "\(id)", "reason": "\(code)"]
        )
        connection.fail(ParleyError(code, "\(id) at \(connection.remoteAddress) \(why)"))
    }
}

extension AllowedPeers {
    /// Asks about an id that ``decides(_:)`` knows nothing of.
    fileprivate func asks(about connection: Connection, _ id: PeerID) async -> Bool {
        guard case .asking(_, let isAllowed) = rule else { return false }
        return await isAllowed(
            ProvenPeer(
                id: id,
                remoteAddress: connection.remoteAddress,
                isOutbound: connection.isOutbound
            )
        )
    }

    /// How long an answer may take; nil when the handshake's time-out goes on.
    fileprivate var limit: Duration? {
        if case .asking(let limit, _) = rule { limit } else { nil }
    }
}

extension Connection: SecuredLinkOwner {
    /// Becomes the owner of its link and of those below it. Returns the owner of the lowest.
    func ownLinks() -> any LinkOwner {
        multiplexed?.setOwner(self)
        guard let secured = link as? SecuredLink ?? multiplexed?.secured else {
            return multiplexed.map { $0 as any LinkOwner } ?? self
        }
        secured.setOwner(multiplexed.map { $0 as any SecuredLinkOwner } ?? self)
        return secured
    }

    func linkIsSecured(with proven: Proven) {
        let socket = link?.directSocket
        outbound.withLock { outbound in
            outbound.proven = proven
            if outbound.lifecycle.end == nil { outbound.socket = socket }
        }
        node.secured(self, by: proven.id)
    }

    func linkDidFail(_ reason: ParleyError) {
        guard reason.code == .securityFailed else { return apply(.fail(reason)) }
        let what = "the secured link with \(remoteAddress) failed: \(reason.message)"
        apply(.fail(ParleyError(.securityFailed, what)))
    }

    func linkDidHold(_ bytes: Int) {
        let isOverLimit = inbound.withLock { inbound in
            guard inbound.linkBytes != bytes, !inbound.intake.isDiscarding else { return false }
            if bytes > inbound.linkBytes {
                // The other side lives, though its message is not complete.
                inbound.lastArrival = loop.milliseconds
                inbound.lastActivity = loop.milliseconds
            }
            inbound.linkBytes = bytes
            return account(&inbound, hasProgress: false)
        }
        if isOverLimit { node.dropLargestHolder() }
        if bytes > 0, let timeout = node.timeLimits.frame {
            context.timers.check(self, by: loop.milliseconds &+ max(Health.shortestInterval, timeout / 4))
        }
    }
}
