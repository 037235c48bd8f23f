// Identify: what the other side says of itself, and what this side does.
// Source: <https://github.com/libp2p/specs/blob/master/identify/README.md>.

/// What the two sides of a connection have said of themselves.
struct Introductions {
    /// What is known of the other side: its last answer, and what it has pushed since.
    var heard: Identification?
    /// The other side knows the names of this one as of this ``Node/protocolsEpoch``.
    var told: UInt64
}

extension Connection {
    /// See ``Peer/identification``.
    public var identification: Identification? {
        ForkedChild.isThisProcess ? nil : multiplexed?.introductions.withLock { $0.heard }
    }

    /// See ``Peer/identify()``.
    @discardableResult
    public func identify() async throws(ParleyError) -> Identification {
        let stream = try await openStream(protocol: LibP2P.identify)
        try await stream.finish()
        let said = try await readIdentification(from: stream)
        keep { $0 = said }
        return said
    }

    /// Reads what the other side says of itself unasked, which may be a part of it.
    func take(pushFrom stream: PeerStream) async throws(ParleyError) {
        let pushed = try await readIdentification(from: stream)
        keep { $0.update(with: pushed) }
    }

    /// Changes what is known of the other side.
    private func keep(_ change: (inout Identification) -> Void) {
        multiplexed?.introductions.withLock { introductions in
            var heard = introductions.heard ?? Identification()
            change(&heard)
            introductions.heard = heard
        }
        // This side's names may have changed before it was known that the other side takes pushes.
        loop.perform { [self] in pushIdentification() }
    }

    /// Reads what the other side says of itself, up to the end of the stream.
    private func readIdentification(
        from stream: PeerStream
    ) async throws(ParleyError) -> Identification {
        let bytes = try await stream.limited(to: node.options.timeouts.handshake) {
            () async throws(ParleyError) in
            var bytes: [UInt8] = []
            // One byte more tells that there are too many.
            while bytes.count <= Identification.maxBytes,
                let more = try await stream.read(upTo: Identification.maxBytes + 1 - bytes.count)
            { bytes += more }
            return bytes
        }
        stream.close()
        let said = try Identification(delimited: bytes[...])
        if let claimed = said.id, claimed != id {
            throw ParleyError(.protocolViolation, "\(remoteAddress) says that it is \(claimed), and is not")
        }
        return said
    }

    /// What this side says of itself to the other, which counts as told.
    func introduction() -> Identification {
        let epoch = node.protocolsEpoch.load(ordering: .sequentiallyConsistent)
        multiplexed?.introductions.withLock { $0.told = max($0.told, epoch) }
        var own = node.identification
        let listening = Multiaddr.listening(at: node.listeningAddress, as: localAddress)
        own.listenAddresses = listening.map { [$0] } ?? []
        own.observedAddress = Multiaddr(remoteAddress)
        return own
    }

    /// Tells the other side what this side now says of itself, if that is news and it listens to it. Never
    /// waits: whoever has no room for it misses it. The loop's thread only.
    func pushIdentification() {
        guard let multiplexed else { return }
        let epoch = node.protocolsEpoch.load(ordering: .sequentiallyConsistent)
        let isWanted = multiplexed.introductions.withLock { introductions in
            introductions.told < epoch
                && introductions.heard?.protocols.contains(LibP2P.identifyPush) == true
        }
        guard isWanted else { return }
        do throws(ParleyError) {
            guard let channel = try multiplexed.open(LibP2P.identifyPush).0 else { return }
            let stream = PeerStream(channel, of: self, over: multiplexed)
            let message = introduction().delimited[...]
            // A new stream has room for it, unless the node's budget is used up: the stream is then released
            // unfinished, which resets it.
            let taken = try multiplexed.write(message, to: channel, of: number).taken
            if taken == message.count { stream.close() }
        } catch {
            node.reportFailedIdentify(of: self, error)
        }
    }
}

extension Multiaddr {
    /// The address of a socket; nil for a name, and for an address that means something on one machine alone.
    init?(_ address: SocketAddress) {
        guard let ip = address.ip, !address.host.utf8.contains(UInt8(ascii: "%")) else { return nil }
        let host: Part =
            ip.isIPv4 ? .ip4(UInt32(truncatingIfNeeded: ip.low)) : .ip6(high: ip.high, low: ip.low)
        self.init([host, .tcp(address.port)])
    }

    /// Where one peer can dial a listening node.
    ///
    /// - Parameters:
    ///   - listening: where it listens; nil when it does not.
    ///   - local: its own address in the connection with that peer, which stands for every interface.
    static func listening(at listening: SocketAddress?, as local: SocketAddress) -> Multiaddr? {
        guard let listening else { return nil }
        let isEverywhere = listening.host.isEmpty || ["0.0.0.0", "::"].contains(listening.host)
        let host = isEverywhere ? local.host : listening.host
        return Multiaddr(SocketAddress(host: host, port: listening.port))
    }
}
