import Testing

@testable import Parley

/// Messages that arrived together, taken one at a time without the queue's lock.
@Suite(.timeLimit(.minutes(10))) struct OpenRunTests {
    /// Offers messages of `size` bytes whose first two are their number, as one run.
    private func offer(_ numbers: Range<Int>, size: Int = 2, to inbox: Inbox) {
        var decoded = DecodedRuns()
        var block: [UInt8] = []
        for number in numbers {
            decoded.foundBounds.append(block.count..<block.count + size)
            block += [UInt8(number >> 8), UInt8(number & 255)] + patterned(size - 2)
        }
        let isInside = decoded.appendFound(in: block[...])
        #expect(isInside)
        _ = inbox.offer(&decoded, from: NoPeer(), to: 0)
    }

    private func number(_ rpc: RPC?) -> Int? {
        rpc.map { Int($0.payload.first!) << 8 | Int($0.payload.dropFirst().first!) }
    }

    @Test func `each message is taken once, in order, and nobody takes from a closed run`() throws {
        var decoded = DecodedRuns()
        decoded.foundBounds = (0..<5).map { $0..<$0 + 1 }
        let isInside = decoded.appendFound(in: [10, 11, 12, 13, 14])
        #expect(isInside)
        let run = OpenRun(3, of: RPCBatch.Delivery(NoPeer(), decoded.runs[0]))
        #expect(run.take()?.payload == [10])
        #expect(run.take()?.payload == [11])
        let copy = run
        #expect(copy.take()?.payload == [12])
        #expect(run.take() == nil, "the queue keeps the others")
        #expect(run.close() == 3)
        let other = OpenRun(3, of: RPCBatch.Delivery(NoPeer(), decoded.runs[0]))
        _ = other.take()
        #expect(other.close() == 1)
        #expect(other.take() == nil)
    }

    @Test func `a part of a run has the bytes of its messages`() throws {
        let sizes = [3, 0, 5, 1, 2]
        var decoded = DecodedRuns()
        var end = 0
        for size in sizes {
            decoded.foundBounds.append(end..<end + size)
            end += size
        }
        let isInside = decoded.appendFound(in: patterned(end)[...])
        #expect(isInside)
        var part = RPCBatch.Delivery(NoPeer(), decoded.runs[0])
        for lower in 0...5 {
            for upper in lower...5 {
                (part.lower, part.upper) = (lower, upper)
                #expect(part.payloadBytes == sizes[lower..<upper].reduce(0, +), "\(lower)..<\(upper)")
            }
        }
    }

    @Test func `consumers share what arrived together, whoever asked first`() async {
        let inbox = Inbox(capacity: 1_000)
        let sequence = RPCSequence(inbox)
        var (one, other) = (sequence.makeAsyncIterator(), sequence.makeAsyncIterator())
        offer(0..<40, to: inbox)
        for expected in stride(from: 0, to: 20, by: 2) {
            #expect(number(await one.next()) == expected)
            #expect(number(await other.next()) == expected + 1)
        }
        offer(40..<60, to: inbox)
        for expected in 20..<30 { #expect(number(await one.next()) == expected) }
        let batch = await inbox.nextBatch()
        #expect(batch?.map { number($0)! } == Array(30..<60))
        #expect(inbox.depth == (0, 0))
        offer(60..<61, to: inbox)
        #expect(number(await one.next()) == 60)
    }

    @Test func `what waits is exact at any time`() async {
        let inbox = Inbox(capacity: 1_000)
        var iterator = RPCSequence(inbox).makeAsyncIterator()
        offer(0..<50, size: 7, to: inbox)
        for left in (0..<50).reversed() {
            _ = await iterator.next()
            // Looking closes the run. So one or two messages are taken between two looks.
            guard left % 3 > 0 else { continue }
            #expect(inbox.depth == (left, left * 7))
            #expect(inbox.space == 1_000 - left)
        }
    }

    @Test(arguments: [true, false], [1, 2])
    func `a producer is called as soon as half is free`(isByBytes: Bool, consumers: Int) async {
        // It is filled by 200 messages, whose bytes are one limit and whose number is the other.
        let inbox = isByBytes ? Inbox(capacity: 10_000, capacityBytes: 800) : Inbox(capacity: 200)
        let sequence = RPCSequence(inbox)
        var iterators = (0..<consumers).map { _ in sequence.makeAsyncIterator() }
        offer(0..<200, size: 4, to: inbox)
        // These open a run while no producer waits.
        for taken in 0..<10 { #expect(number(await iterators[taken % consumers].next()) == taken) }
        let called = Lock(0)
        inbox.whenSpace { called.withLock { $0 += 1 } }
        for taken in 10..<99 {
            #expect(number(await iterators[taken % consumers].next()) == taken)
            #expect(called.withLock { $0 } == 0, "after \(taken)")
        }
        _ = await iterators[0].next()
        #expect(called.withLock { $0 } == 1)
        var rest = 0
        inbox.finish()
        while await iterators[0].next() != nil { rest += 1 }
        #expect(rest == 100)
        #expect(called.withLock { $0 } == 1)
    }

    @Test func `consumers that take in turns share one run while a producer waits`() async {
        let inbox = Inbox(capacity: 100)
        let sequence = RPCSequence(inbox)
        var iterators = (0..<3).map { _ in sequence.makeAsyncIterator() }
        offer(0..<100, to: inbox)
        inbox.whenSpace {}
        _ = await iterators[0].next()
        let run = inbox.queues[0].state.withLock(\.openRun)
        #expect(run != nil)
        for taken in 1..<40 { #expect(number(await iterators[taken % 3].next()) == taken) }
        #expect(inbox.queues[0].state.withLock { $0.openRun === run })
    }

    @Test func `tasks on several threads get each message exactly once`() async {
        let (runs, length) = (200, 100)
        let inbox = Inbox(capacity: 1_000)
        let taken = await withTaskGroup(of: [Int].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var numbers: [Int] = []
                    for await rpc in RPCSequence(inbox) { numbers.append(number(rpc)!) }
                    return numbers
                }
            }
            group.addTask {
                for run in 0..<runs {
                    await withCheckedContinuation { space in inbox.whenSpace { space.resume() } }
                    offer(run * length..<(run + 1) * length, to: inbox)
                }
                inbox.finish()
                return []
            }
            return await group.reduce(into: [[Int]]()) { $0.append($1) }
        }
        #expect(taken.joined().sorted() == Array(0..<runs * length))
        for numbers in taken { #expect(numbers == numbers.sorted()) }
    }
}
