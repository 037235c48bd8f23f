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

    /// What counts as acknowledged by the other side's kernel, and what the link still has to write of a part
    /// of a file, at the same time.
    var acknowledgedBytes: (bytes: UInt64, unwrittenFileBytes: Int) {
        get async {
            await onLoop { [self] in
                let handed = outbound.withLock { $0.queue.handedBytes }
                let secured = (link as? SecuredLink)?.unwrittenFileBytes
                // Sealed bytes are more than what was handed over.
                return (
                    handed &- min(handed, UInt64(link?.status.unacknowledgedBytes ?? 0)),
                    secured ?? (link as? TCPHandle)?.unwrittenFileBytes ?? 0
                )
            }
        }
    }

    /// What has arrived: in the socket, in the link and behind it. What moves meanwhile counts twice.
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
