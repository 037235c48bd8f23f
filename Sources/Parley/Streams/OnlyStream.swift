import Synchronization

/// Which stream is meant of a connection that has one at a time: another may follow it.
///
/// Reads of several pieces share one, so that they never join two streams. The number changes under the lock
/// of the connection's receiving half.
final class OnlyStream: Sendable {
    private let storedNumber: Atomic<UInt32>

    /// - Parameter number: the number that its RPC has; zero for the first one that a reader gets something
    ///   of.
    init(_ number: UInt32) { storedNumber = Atomic(number) }

    /// Its number; zero while it is whichever is open.
    var number: UInt32 { storedNumber.load(ordering: .relaxed) }

    /// Notes that its reader got something of the stream with this number.
    func wasRead(_ number: UInt32) {
        if self.number == 0 { storedNumber.store(number, ordering: .relaxed) }
    }
}

extension Connection {
    /// The number of the stream that is open, where the other side has one at a time; zero when none is.
    var numberOfOpenStream: UInt32 {
        if ForkedChild.isThisProcess { return 0 }
        return inbound.withLock { $0.state.phase == .stream ? $0.numberOfStream : 0 }
    }
}
