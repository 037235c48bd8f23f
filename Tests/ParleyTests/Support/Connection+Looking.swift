import Testing

@testable import Parley

extension Connection {
    /// Runs the connection's time-outs as if `milliseconds` had passed.
    func look(behind milliseconds: UInt64) async {
        await onLoop { [self] in _ = checkTimeouts(at: loop.milliseconds + milliseconds) }
    }

    /// Runs the connection's time-outs as if it were that time.
    func look(at milliseconds: UInt64) async {
        await onLoop { [self] in _ = checkTimeouts(at: milliseconds) }
    }

    /// The same as if the unread bytes had come only then: a check that ran before has not seen them.
    func lookAfterArrival(behind milliseconds: UInt64) async {
        await onLoop { [self] in
            health = Health()
            _ = health.opened(at: loop.milliseconds, node.timeLimits)
            _ = checkTimeouts(at: loop.milliseconds + milliseconds)
        }
    }

    /// Whether its socket has unread bytes.
    var hasUnreadBytes: Bool { get async { await unreadLinkBytes > 0 } }

    /// The bytes that its socket has and that are not read.
    var unreadLinkBytes: Int {
        get async { await onLoop { [self] in link?.status.socketUnreadBytes ?? 0 } }
    }

    /// The bytes that were handed to its link and that the other side's kernel has not acknowledged.
    var unacknowledgedBytes: Int {
        get async { await onLoop { [self] in link?.status.unacknowledgedBytes ?? 0 } }
    }

    /// The bytes that count as acknowledged, and those of the current part of a file that the link has not
    /// written yet. Both are read in the same turn of the loop.
    var acknowledgedBytes: (bytes: UInt64, unwrittenFileBytes: Int) {
        get async {
            await onLoop { [self] in
                let handed = outbound.withLock { $0.queue.handedBytes }
                let secured = (link as? SecuredLink)?.unwrittenFileBytes
                // Sealing adds bytes, so more may be unacknowledged than was handed over.
                return (
                    handed &- min(handed, UInt64(link?.status.unacknowledgedBytes ?? 0)),
                    secured ?? (link as? TCPHandle)?.unwrittenFileBytes ?? 0
                )
            }
        }
    }

    /// The bytes that have arrived: unread in the socket, held by the link, or received by the connection.
    /// Bytes that move on during the look may count twice.
    var arrivedBytes: UInt64 {
        get async {
            await onLoop { [self] in
                let unread = link?.status.socketUnreadBytes ?? 0
                return inbound.withLock { UInt64(unread + $0.linkBytes) + $0.counters.bytes }
            }
        }
    }

    /// Runs a function on the loop's thread.
    func onLoop<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { done in
            loop.execute { done.resume(returning: body()) }
        }
    }
}

extension Peer {
    /// Runs the time-outs of its connection as if `milliseconds` had passed.
    func runTimeouts(behind milliseconds: UInt64) async {
        await (self as? Connection)?.look(behind: milliseconds)
    }
}

/// Waits until a send waits for room, and still does after both loops have done what they can: every buffer
/// between the two is full.
func untilSendsWait(from sender: any Peer, to receiver: any Peer) async throws {
    let (sender, receiver) = (try #require(sender as? Connection), try #require(receiver as? Connection))
    func isWaiting() -> Bool { sender.outbound.withLock { !$0.sendWaiters.isEmpty } }
    try await eventually {
        let accepted = sender.statistics.traffic.bytesSent
        guard isWaiting() else { return false }
        for _ in 0..<3 {
            await sender.onLoop {}
            await receiver.onLoop {}
        }
        return isWaiting() && sender.statistics.traffic.bytesSent == accepted
    }
}
