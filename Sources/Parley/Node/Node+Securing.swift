// From a connected link to one whose other side is known and allowed. It comes after the gates by address and
// before the handshake. The connection's loop's thread, unless a comment says otherwise.

extension Node {
    /// Makes the secured link over a new one; nil without security.
    ///
    /// - Parameter expected: the only id that may answer a dial; nil for any.
    func secure(
        _ lower: any Link,
        on context: LoopContext,
        isOutbound: Bool,
        expecting expected: PeerID?
    ) -> SecuredLink? {
        guard let security = options.security.link else { return nil }
        let session = security.makeSession(isInitiator: isOutbound, expecting: expected)
        return SecuredLink(over: lower, session: session, turns: context.securing, on: context.loop)
    }

    /// Begins to secure an adopted connection's link. The time-out of the handshake starts here.
    func beginSecuring(_ connection: Connection) {
        connection.startHandshakeTimer()
        guard let link = connection.link as? SecuredLink else {
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
        let task = Task(executorPreference: globalConcurrentExecutor) { [self] in
            let isAllowed = await allowed.asks(id, isOutbound: connection.isOutbound)
            connection.loop.perform { [self] in
                guard connection.isLive else { return }
                decide(isAllowed, id, connection)
            }
        }
        // Cancelled when the connection ends.
        state.withLock { $0.connections[connection.number]?.handshake = task }
    }

    private func decide(_ isAllowed: Bool, _ id: PeerID, _ connection: Connection) {
        guard isAllowed else { return refuse(connection, id, .identityNotAllowed, "is not allowed") }
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
    fileprivate func asks(_ id: PeerID, isOutbound: Bool) async -> Bool {
        if case .asking(let isAllowed) = rule { await isAllowed(id, isOutbound) } else { false }
    }
}

extension Connection: SecuredLinkOwner {
    /// Becomes the owner of the secured link. Returns the owner of the link below it, which is this
    /// connection where there is no security.
    func secure(_ link: SecuredLink?) -> any LinkOwner {
        guard let link else { return self }
        link.setOwner(self)
        return link
    }

    func linkIsSecured(with id: PeerID) {
        outbound.withLock { $0.proven = Proven(id) }
        node.secured(self, by: id)
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
