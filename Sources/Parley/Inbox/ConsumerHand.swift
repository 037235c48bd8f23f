/// The RPCs that one consumer has taken and is not done with. It is done when it asks for more.
///
/// Consecutive RPCs of one peer are counted together: the peer hears of them when the consumer turns to
/// another peer, waits, or ends.
///
/// `@unchecked Sendable`: one consumer uses it, as it does its iterator.
@usableFromInline
final class ConsumerHand: @unchecked Sendable {
    // Unchecked: each message would pay for the check.
    @usableFromInline @exclusivity(unchecked) var sender: (any Peer)?
    @usableFromInline @exclusivity(unchecked) var count = 0
    @exclusivity(unchecked) private var batch: RPCBatch?
    /// The RPC that it was handed while it waited. The lock of the queue where it waits guards it.
    @exclusivity(unchecked) var handed: RPC?
    /// The run that the consumer takes from without asking the queue. Unmanaged, because each message
    /// would pay for a retain and a release of it.
    @usableFromInline @exclusivity(unchecked) var openRun: Unmanaged<OpenRun>?

    deinit { letGo() }

    /// Before the consumer waits: puts down what it has, also the open run, which keeps memory alive.
    @inline(__always)
    func letGo() {
        putDown()
        hold(nil)
    }

    /// Makes `run` the run that the consumer takes from.
    func hold(_ run: OpenRun?) {
        let old = openRun
        openRun = run.map(Unmanaged.passRetained)
        old?.release()
    }

    /// Takes the next message of the run. Nil when the queue has to be asked.
    ///
    /// Inlined into the consumer's loop.
    @inlinable @inline(__always)
    func takeOpen() -> RPC? {
        // In a forked child its sequence is over.
        if ForkedChild.isThisProcess { return nil }
        return openRun?._withUnsafeGuaranteedRef { run -> RPC? in
            guard let rpc = run.take() else { return nil }
            noteTaken(from: run.peer)
            return rpc
        } ?? nil
    }

    @inline(__always)
    func take(_ rpc: RPC) { noteTaken(from: rpc.peer) }

    @inlinable @inline(__always)
    func noteTaken(from peer: any Peer) {
        if sender !== peer {
            putDown()
            sender = peer
        }
        count &+= 1
    }

    func take(_ batch: RPCBatch) {
        putDown()
        self.batch = batch
    }

    /// Tells the senders that the consumer is done.
    @usableFromInline
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

/// Where a blocked thread is handed what it waits for. Its ``ThreadParker/hand``.
final class ThreadHand {
    @exclusivity(unchecked) var handed: RPCBatch.Delivery?
}
