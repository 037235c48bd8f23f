/// The RPCs that one consumer has taken and is not done with. It is done when it asks for more.
///
/// Consecutive RPCs of one peer are counted together: the peer hears of them when the consumer turns to
/// another peer, waits, or ends.
///
/// `@unchecked Sendable`: one consumer uses it, as it does its iterator.
@usableFromInline
final class ConsumerHand: @unchecked Sendable {
    // Unchecked: each message would pay for the check.
    @exclusivity(unchecked) private var sender: (any Peer)?
    @exclusivity(unchecked) private var count = 0
    @exclusivity(unchecked) private var batch: RPCBatch?
    /// Messages that it takes without asking its queue. Unmanaged: otherwise each would be paid for with a
    /// retain and a release of the run.
    @exclusivity(unchecked) private var openRun: Unmanaged<OpenRun>?

    deinit {
        putDown()
        hold(nil)
    }

    /// Takes from `run` from now on.
    func hold(_ run: OpenRun?) {
        openRun?.release()
        openRun = run.map(Unmanaged.passRetained)
    }

    /// Takes the next message of its open run. Nil when the queue has to be asked.
    @inline(__always)
    func takeOpen() -> RPC? {
        openRun?._withUnsafeGuaranteedRef { run -> RPC? in
            guard let rpc = run.take() else { return nil }
            if sender !== run.peer {
                putDown()
                sender = run.peer
            }
            count &+= 1
            return rpc
        } ?? nil
    }

    @inline(__always)
    func take(_ rpc: RPC) {
        if sender !== rpc.peer {
            putDown()
            sender = rpc.peer
        }
        count &+= 1
    }

    func take(_ batch: RPCBatch) {
        putDown()
        self.batch = batch
    }

    /// Tells the senders that the consumer is done.
    func putDown() {
        if let sender {
            let count = count
            self.sender = nil
            self.count = 0
            sender.consumed(count)
        }
        if let batch {
            self.batch = nil
            batch.finish()
        }
    }
}
