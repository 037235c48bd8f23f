// What every libp2p node answers by itself: pings, and who it is.

extension Node {
    /// Who takes the streams of libp2p's own protocols; nobody on other nodes.
    static func libP2PAcceptors(_ options: TransportOptions) -> [String: StreamAcceptor] {
        guard options.decoder.layers == .libp2p else { return [:] }
        let handlers: [String: @Sendable (PeerStream) async throws -> Void] = [
            LibP2P.ping: { stream in
                for try await bytes in stream.chunks() { try await stream.write(bytes) }
                try await stream.finish()
            },
            LibP2P.identify: { stream in
                guard let connection = stream.connection else { return }
                try await stream.write(connection.introduction().delimited[...])
                try await stream.finish()
            },
            LibP2P.identifyPush: { stream in
                guard let connection = stream.connection else { return }
                try await connection.take(pushFrom: stream)
            },
        ]
        return handlers.mapValues { StreamHandler($0).acceptor }
    }

    /// Whether an application may take the streams of a protocol.
    func isFree(_ name: String) -> Bool {
        Multiplexed.isFree(name) && (options.decoder.layers != .libp2p || !LibP2P.isBuiltIn(name))
    }

    /// What this node says of itself to everybody, without addresses.
    var identification: Identification {
        var own = Identification()
        own.protocolVersion = LibP2P.protocolVersion
        own.agentVersion = LibP2P.agentVersion
        own.id = options.security.id
        own.protocols = (acceptors.withLock { Array($0.keys) } + [Multiplexed.messages, Multiplexed.stream])
            .sorted()
        return own
    }

    /// Tells every peer that listens to it what this node now says of itself. Any thread.
    func protocolsHaveChanged() {
        guard options.decoder.layers == .libp2p else { return }
        // On the loop's thread: of two changes, the later one is told last.
        for connection in connections {
            connection.loop.perform { connection.pushIdentification() }
        }
    }

    /// Asks a new peer who it is. Nothing waits for it.
    func askWhoIs(_ connection: Connection) {
        guard options.decoder.layers == .libp2p else { return }
        Task.detached(executorPreference: globalConcurrentExecutor) { [self] in
            do throws(ParleyError) { try await connection.identify() } catch {
                reportFailedIdentify(of: connection, error)
            }
        }
    }

    func reportFailedIdentify(of connection: Connection, _ error: ParleyError) {
        logThrottled(
            .debug,
            .identifyFailed,
            key: "",
            ["peer": "\(connection.remoteAddress)", "error": "\(error)"]
        )
    }
}
