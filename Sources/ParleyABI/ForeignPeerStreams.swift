import CParley
import Parley
import Synchronization

/// A two-way stream that a program has.
final class ForeignPeerStream: Sendable {
    let stream: PeerStream
    /// The program's pointer.
    let userdata = Atomic<UInt>(0)

    init(_ stream: PeerStream) { self.stream = stream }
}

extension PeerStream {
    /// Reads up to `size` bytes; zero at the end.
    func read(
        into buffer: UnsafeMutableRawPointer,
        upTo size: Int,
        _ limit: WaitLimit
    ) throws(ParleyError) -> Int {
        guard let bytes = try read(upTo: size, limit) else { return 0 }
        copy(bytes, to: buffer)
        return bytes.count
    }

    /// Reads exactly `size` bytes, which is at least 1.
    ///
    /// - Parameter source: where they come from, for an error.
    func read(
        into buffer: UnsafeMutableRawPointer,
        exactly size: Int,
        of source: some CustomStringConvertible,
        _ limit: WaitLimit
    ) throws(ParleyError) {
        // The time-out is for all of it together: `limit` is a point in time.
        var filled = 0
        do throws(ParleyError) {
            while filled < size {
                let count = try read(into: buffer + filled, upTo: size - filled, limit)
                guard count > 0 else {
                    throw ParleyError(.endOfStream, "\(source) ended after \(filled) of \(size) bytes")
                }
                filled += count
            }
        } catch {
            // These bytes came too late for this read: the next one gets them. Nobody is told that they can
            // be read until more has come.
            if [.wouldBlock, .wouldDeadlock, .timedOut].contains(error.code) {
                putBack(try bytes(buffer, filled, "buffer", "size"))
            }
            throw error
        }
    }
}

/// The two-way streams that a program has by their numbers, and the protocols whose streams its threads
/// accept. Any thread.
final class ForeignPeerStreams: Sendable {
    private struct Table {
        var last: parley_peer_stream = 0
        var streams: [parley_peer_stream: ForeignPeerStream] = [:]
    }

    private let table = Lock(Table())
    /// By the protocol's name; nil once the transport is closed.
    private let queues = Lock<[String: AcceptQueue]?>([:])

    /// Gives a stream to the program. Returns its number, which is never used again.
    func add(_ stream: PeerStream) -> parley_peer_stream {
        table.withLock { table in
            table.last += 1
            table.streams[table.last] = ForeignPeerStream(stream)
            return table.last
        }
    }

    func stream(_ number: parley_peer_stream) throws(ParleyError) -> ForeignPeerStream {
        try found(number, table.withLock { $0.streams[number] })
    }

    /// Takes a stream away from the program. Its number is gone.
    func remove(_ number: parley_peer_stream) throws(ParleyError) -> ForeignPeerStream {
        try found(number, table.withLock { $0.streams.removeValue(forKey: number) })
    }

    private func found(
        _ number: parley_peer_stream,
        _ stream: ForeignPeerStream?
    ) throws(ParleyError) -> ForeignPeerStream {
        guard number != 0 else { throw ParleyError(.invalidArgument, "stream is PARLEY_NO_PEER_STREAM") }
        guard let stream else { throw ParleyError(.closed, "stream \(number) is closed") }
        return stream
    }

    /// Releases what the program has left.
    func removeAll() {
        // Released when no lock is held.
        _ = table.withLock { table in
            defer { table.streams = [:] }
            return table.streams
        }
    }

    // MARK: Accepting

    /// Sets who takes the streams of a protocol; nil for nobody. Threads that wait for one wait no longer.
    func accept(_ name: String, on node: Node, _ acceptor: StreamAcceptor?) throws(ParleyError) {
        let replaced = try queues.withLock { (queues) throws(ParleyError) in
            guard queues != nil else { throw isClosed }
            try node.accept(name, acceptor)
            return queues?.removeValue(forKey: name)
        }
        replaced?.end(ParleyError(.cancelled, "the streams for \(name) are accepted in another way"))
    }

    /// The queue of a protocol, whose streams threads accept from the first call on.
    func queue(_ name: String, on node: Node) throws(ParleyError) -> AcceptQueue {
        try queues.withLock { (queues) throws(ParleyError) in
            guard queues != nil else { throw isClosed }
            if let queue = queues?[name] { return queue }
            guard node.acceptor(of: name) == nil else {
                throw ParleyError(.invalidArgument, "parley_accept_streams takes the streams for \(name)")
            }
            let queue = AcceptQueue(name)
            try node.accept(name) { queue.add($0) }
            queues?[name] = queue
            return queue
        }
    }

    /// Wakes the threads that wait for streams: the transport closes.
    func endAccepting() {
        let ended = queues.withLock { queues in
            defer { queues = nil }
            return queues ?? [:]
        }
        for queue in ended.values { queue.end(isClosed) }
    }

    private var isClosed: ParleyError { ParleyError(.closed, "the transport is closed") }
}
