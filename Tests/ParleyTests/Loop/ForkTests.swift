#if os(Linux)
    import CLinux
    import Glibc
    import Testing

    @testable import Parley

    struct ForkTests {
        /// What the child found, as its exit status: 0, or the number of the call that did not fail.
        private static func child(
            _ server: any Transport,
            _ peer: any Peer,
            _ open: RPCSequence.Iterator
        ) async -> Int32 {
            var number: Int32 = 0
            func isForked(_ call: () async throws -> Void) async -> Bool {
                number += 1
                do { try await call() } catch { return (error as? ParleyError)?.code == .forked }
                return false
            }
            let made = TCPTransport()
            let calls: [() async throws -> Void] = [
                { try await made.listenAndAccept() },
                { _ = try await made.dial("127.0.0.1:1") },
                { try made.keepConnected(to: "127.0.0.1:1") },
                { try await made.consumeOnEachLoop { _ in } },
                { _ = try await server.dial(server.address) },
                { try await peer.send(message: "x") },
                { _ = try peer.trySend([1]) },
                { try await peer.write([1]) },
                { _ = try await peer.read(upTo: 1) },
                { _ = try await peer.read(exactly: 1) },
                { _ = try await peer.openStream() },
                { _ = try await peer.untilClosed() },
                { _ = try await peer.sendStream(contentsOf: "/etc/passwd") },
                { _ = try await peer.receiveStream(into: "/tmp/never") },
                { try made.ban("192.0.2.1", for: .seconds(1)) },
                { try await made.consumeEachPeer { _, _ in } },
            ]
            for call in calls {
                guard await isForked(call) else { return number }
            }
            // These cannot throw: they do nothing.
            await peer.close()
            await server.close()
            await made.close()
            peer.closeStream()
            peer.setDeadline(.now)
            peer.userValue = 1
            guard peer.id == nil, peer.userValue == nil, peer.statistics.uptime == .zero else { return 103 }
            for await _ in server.consume() { return 100 }
            var open = open
            if await open.next() != nil { return 102 }
            return server.peers.isEmpty ? 0 : 101
        }

        /// A consumer that has taken the first of several messages and has the next at hand.
        private static func consumerWithMore() async -> RPCSequence.Iterator {
            let inbox = Inbox(capacity: 100)
            var decoded = DecodedRuns()
            decoded.foundBounds = (0..<20).map { $0..<$0 + 1 }
            let isInside = decoded.appendFound(in: patterned(20)[...])
            #expect(isInside)
            _ = inbox.offer(&decoded, from: NoPeer(), to: 0)
            var consumer = RPCSequence(inbox).makeAsyncIterator()
            #expect(await consumer.next() != nil)
            return consumer
        }

        /// However it hangs. Threads of tasks block signals.
        private static func endAfterAMinute() {
            var alarms = sigset_t()
            sigemptyset(&alarms)
            sigaddset(&alarms, SIGALRM)
            pthread_sigmask(SIG_UNBLOCK, &alarms, nil)
            alarm(60)
        }

        @Test func `every call fails at once in a forked child, and the parent goes on`() async throws {
            try await withNodes(.tcp) { nodes in
                let server = try await nodes.listening()
                let client = nodes.make()
                let peer = try await client.dial(server.address)
                // A child has one thread. What the others have locked in the Swift runtime, as they do when
                // they use a type for the first time, stays locked there: so the loops get nothing to do.
                try await peer.send(message: [1])
                #expect(try await server.nextRPC().payload == [1])
                for loop in server.eventLoops + client.eventLoops {
                    await Task(executorPreference: loop) {}.value
                }
                var open = await Self.consumerWithMore()
                let process = clinux_fork()
                if process == 0 {
                    Self.endAfterAMinute()
                    _exit(await Self.child(server, peer, open))
                }
                #expect(process > 0)
                var status: Int32 = -1
                #expect(waitpid(process, &status, 0) == process)
                #expect(status == 0, "exit status \(status >> 8), signal \(status & 0x7f)")
                #expect(await open.next() != nil)
                try await peer.send(message: [7])
                #expect(try await server.nextRPC().payload == [7])
            }
        }
    }
#endif
