import Testing

@testable import Parley

@Suite(.timeLimit(.minutes(2))) struct InboxTests {
    private func rpcs(_ values: Range<UInt8>) -> [RPC] { values.map { RPC(peer: NoPeer(), payload: [$0]) } }

    @Test func `RPCs come out in order, one by one or all that there are`() async {
        let inbox = Inbox(capacity: 8)
        inbox.offer(rpcs(0..<5))
        #expect(await inbox.next()?.payload == [0])
        #expect(await inbox.nextBatch()?.map { $0.payload[0] } == [1, 2, 3, 4])
        inbox.finish()
        #expect(await inbox.next() == nil)
        #expect(await inbox.nextBatch() == nil)
    }

    @Test func `what is left when it is finished is drained before the end`() async {
        let inbox = Inbox(capacity: 8)
        inbox.offer(rpcs(0..<2))
        inbox.finish()
        inbox.offer(rpcs(5..<6))
        #expect(await inbox.next()?.payload == [0])
        #expect(await inbox.next()?.payload == [1])
        #expect(await inbox.next() == nil)
    }

    @Test func `producers are called when half of it is free`() async {
        let inbox = Inbox(capacity: 4)
        let called = Lock(0)
        #expect(inbox.offer(rpcs(0..<4)) == 0)
        inbox.whenSpace { called.withLock { $0 += 1 } }
        _ = await inbox.next()
        #expect(called.withLock { $0 } == 0)
        _ = await inbox.next()
        #expect(called.withLock { $0 } == 1)
        #expect(inbox.space == 2)
        _ = await inbox.nextBatch()
        #expect(called.withLock { $0 } == 1, "once")
    }

    @Test func `producers that are called together divide the space`() async {
        let inbox = Inbox(capacity: 16)
        inbox.offer(rpcs(0..<16))
        #expect(inbox.share(isCalled: false) == 0)
        for _ in 0..<3 { inbox.whenSpace {} }
        for _ in 0..<8 { _ = await inbox.next() }
        #expect(inbox.share(isCalled: false) == 2, "the three, and this one")
        #expect(inbox.share(isCalled: true) == 2)
        #expect(inbox.share(isCalled: true) == 4, "two are left")
        inbox.offer(rpcs(0..<7))
        #expect(inbox.share(isCalled: true) == 1)
        #expect(inbox.share(isCalled: false) == 1)
    }

    @Test func `payload bytes are bounded too, and one RPC may exceed them`() async {
        let inbox = Inbox(capacity: 100, capacityBytes: 10)
        #expect(inbox.offer([RPC(peer: NoPeer(), payload: patterned(30)[...])]) == 0)
        #expect(inbox.space == 0)
        _ = await inbox.next()
        #expect(inbox.space == 100)
    }

    @Test func `a finished inbox has room, so that nobody waits for consumers that are gone`() {
        let inbox = Inbox(capacity: 1)
        #expect(inbox.offer(rpcs(0..<1)) == 0)
        inbox.finish()
        #expect(inbox.space == 1)
    }

    @Test func `an inbox that never becomes empty does not grow`() async {
        let inbox = Inbox(capacity: 8)
        inbox.offer(rpcs(0..<1))
        for _ in 0..<50_000 {
            inbox.offer(rpcs(0..<1))
            _ = await inbox.next()
        }
        #expect(inbox.placesHeld < 4_096)
    }

    @Test func `many consumers get each RPC exactly once`() async {
        let inbox = Inbox(capacity: 10_000)
        let total = 10_000
        let sums = await withTaskGroup(of: [Int].self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var values: [Int] = []
                    while let rpc = await inbox.next() {
                        values.append(Int(rpc.payload[0]) << 8 | Int(rpc.payload[1]))
                    }
                    return values
                }
            }
            for value in 0..<total {
                inbox.offer([RPC(peer: NoPeer(), payload: [UInt8(value >> 8), UInt8(value & 255)])])
            }
            inbox.finish()
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(sums.sorted() == Array(0..<total))
    }

    @Test func `a cancelled consumer ends, and takes nothing from the others`() async {
        let inbox = Inbox(capacity: 4)
        let cancelled = Task { await inbox.next() }
        let other = Task { await inbox.next() }
        cancelled.cancel()
        #expect(await cancelled.value == nil)
        inbox.offer(rpcs(7..<8))
        #expect(await other.value?.payload == [7])
    }

    @Test func `cancelling and offering at the same time loses nothing`() async {
        for _ in 0..<2_000 {
            let inbox = Inbox(capacity: 4)
            let consumer = Task { await inbox.next() }
            async let offered: Int = inbox.offer(rpcs(1..<2))
            consumer.cancel()
            _ = await offered
            if await consumer.value == nil { #expect(await inbox.next()?.payload == [1]) }
        }
    }
}

/// Somebody an RPC can be from.
final class NoPeer: Peer {
    let isOutbound = false
    let localAddress = SocketAddress(host: "", port: 0)
    let remoteAddress = SocketAddress(host: "nobody", port: 1)
    func trySend(_ bytes: ArraySlice<UInt8>) throws(ParleyError) -> Bool { true }
    func trySend(message: ArraySlice<UInt8>) throws(ParleyError) -> Bool { true }
    func sendWhenPossible(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {}
    func sendWhenPossible(message: ArraySlice<UInt8>) async throws(ParleyError) {}
    func openStream(header: ArraySlice<UInt8>) async throws(ParleyError) -> any StreamWriter {
        throw ParleyError(.unsupported, "no streams")
    }
    func read(upTo count: Int) async throws(ParleyError) -> ArraySlice<UInt8>? { nil }
    func read(exactly count: Int) async throws(ParleyError) -> ArraySlice<UInt8> { [] }
    func closeStream() {}
    func close() async {}
    func setDeadline(_ deadline: ContinuousClock.Instant?) {}
    func setReadDeadline(_ deadline: ContinuousClock.Instant?) {}
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?) {}
}
