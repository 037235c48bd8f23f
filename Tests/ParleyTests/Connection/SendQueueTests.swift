import FaultProxy
import Testing

@testable import Parley

/// Whose turn it is, whether there is room, what is written next, and what is accounted for.
@Suite struct SendQueueTests {
    private let marks = SendQueue.Marks(high: 1_000, low: 250)

    // MARK: Turns and room

    @Test func `an open stream keeps messages and streams waiting, and lets its own bytes and raw ones pass`()
    {
        var queue = SendQueue()
        #expect(queue.nextStream == 1 && queue.openStream == 0)
        queue.send(10, .streamOpening)
        #expect(queue.openStream == 1 && queue.nextStream == 2)
        #expect(queue.wait(for: .message, marks: marks) == .behindOthers)
        #expect(queue.wait(for: .streamOpening, marks: marks) == .behindOthers)
        #expect(
            queue.wait(for: .message, marks: marks, waited: .behindOthers) == .behindOthers,
            "whoever waited waits on"
        )
        #expect(queue.wait(for: .message, marks: marks, waited: .room) == .behindOthers)
        #expect(queue.wait(for: .raw, marks: marks) == nil)
        #expect(queue.wait(for: .streamBytes(of: 1), marks: marks) == nil)
        #expect(queue.isOpen(.streamBytes(of: 1)) && !queue.isOpen(.streamBytes(of: 2)))
        queue.endStream()
        #expect(queue.wait(for: .message, marks: marks) == nil)
        #expect(queue.wait(for: .streamOpening, marks: marks) == nil)
        #expect(!queue.isOpen(.streamBytes(of: 1)))
        #expect(queue.isOpen(.raw) && queue.isOpen(.message) && queue.isOpen(.streamOpening))
        queue.send(10, .streamOpening)
        #expect(queue.openStream == 2, "no number comes twice")
    }

    @Test(arguments: [(999, true), (1_000, false), (1_001, false)])
    func `sends wait for room from the high mark on`(unwritten: Int, hasRoom: Bool) {
        var queue = SendQueue()
        queue.send(unwritten)
        for kind in [SendQueue.Kind.raw, .message, .streamOpening, .streamBytes(of: 0)] {
            #expect(queue.wait(for: kind, marks: marks) == (hasRoom ? nil : .room), "\(kind)")
            #expect(queue.wait(for: kind, marks: marks, waited: .room) == (hasRoom ? nil : .room), "\(kind)")
        }
    }

    @Test func `behind an open stream it is the turn that lacks, though there is no room either`() {
        var queue = SendQueue()
        queue.send(1_000, .streamOpening)
        #expect(queue.wait(for: .message, marks: marks) == .behindOthers)
        #expect(queue.wait(for: .streamBytes(of: 1), marks: marks) == .room)
    }

    @Test func `a late send does not overtake one that waits for room`() {
        var queue = SendQueue()
        queue.send(1_000)
        #expect(queue.wait(for: .message, marks: marks) == .room)
        queue.beginWait(.room)
        queue.beginWait(.room)
        let written = queue.takeAndWrite(1_000, marks: marks)
        #expect(written.hasRoom)
        for kind in [SendQueue.Kind.raw, .message, .streamOpening, .streamBytes(of: 0)] {
            #expect(
                queue.wait(for: kind, marks: marks) == .behindOthers,
                "there is room, and it is others' turn"
            )
            #expect(queue.wait(for: kind, marks: marks, waited: .room) == nil)
            #expect(queue.wait(for: kind, marks: marks, waited: .behindOthers) == nil)
        }
        #expect(queue.endWait(.room) == false, "one waits still")
        #expect(queue.wait(for: .message, marks: marks) == .behindOthers)
        #expect(queue.endWait(.room) == true, "now others may go on")
        #expect(queue.waitingForRoom == 0)
        #expect(queue.wait(for: .message, marks: marks) == nil)
    }

    @Test func `whoever waits for its turn holds nobody up`() {
        var queue = SendQueue()
        queue.beginWait(.behindOthers)
        #expect(queue.waitingForRoom == 0)
        #expect(queue.wait(for: .message, marks: marks) == nil)
        queue.beginWait(.room)
        #expect(queue.endWait(.behindOthers) == false)
        #expect(queue.waitingForRoom == 1)
    }

    @Test(arguments: [(749, false), (750, true), (751, true), (1_000, true)])
    func `senders go on at the low mark`(written: Int, hasRoom: Bool) {
        var queue = SendQueue()
        queue.send(1_000)
        #expect(queue.noteBlocked(at: 70) == true)
        #expect(!queue.noteBlocked(at: 80) && queue.blockedSince == 70)
        #expect(!queue.noteBlocked(at: 60) && queue.blockedSince == 60, "the earliest counts")
        #expect(queue.takeAndWrite(written, marks: marks).hasRoom == hasRoom)
        #expect(queue.blockedSince == (hasRoom ? .max : 60))
        #expect(queue.unwrittenBytes == 1_000 - written)
        if hasRoom { #expect(queue.noteBlocked(at: 90) == true) }
    }

    @Test func `refusals, messages and streams are counted`() {
        var queue = SendQueue()
        queue.noteRefusal()
        queue.noteRefusal()
        queue.send(1, .message)
        queue.send(1, .message)
        queue.send(1, .message)
        queue.send(1, .streamOpening)
        queue.send(1, .streamBytes(of: 1))
        queue.send(1, .raw)
        #expect(queue.counters.waits == 2 && queue.counters.messages == 3 && queue.counters.streams == 1)
        #expect(queue.unwrittenBytes == 6 && queue.counters.bytes == 0)
    }

    // MARK: The node's budget

    @Test func `what is free needs no budget, and what lies beyond is told`() {
        let free = SendBudget.freeBytes
        var queue = SendQueue()
        queue.send(free - 1)
        #expect(queue.isWithinReserve && !queue.isBeyondReserve)
        queue.send(1)
        #expect(!queue.isWithinReserve && !queue.isBeyondReserve, "all of it is used, and no more")
        queue.reserve(100)
        #expect(queue.isWithinReserve)
        queue.send(150)
        #expect(queue.isBeyondReserve)
        #expect(queue.reserveRest() == 50)
        #expect(!queue.isBeyondReserve && queue.reservedBytes == free + 150)
    }

    @Test func `reserved bytes are given back at the low mark, as far as they are not needed`() {
        let free = SendBudget.freeBytes
        let marks = SendQueue.Marks(high: 100_000, low: 50_000)
        var queue = SendQueue()
        queue.reserve(80_000)
        queue.send(90_000)
        var written = queue.takeAndWrite(39_999, marks: marks)
        #expect(!written.hasRoom && written.releasedBytes == 0 && queue.reservedBytes == free + 80_000)
        written = queue.written(1, marks: marks)
        #expect(written.hasRoom && written.releasedBytes == free + 80_000 - 50_000)
        #expect(queue.reservedBytes == 50_000)
        written = queue.written(50_000, marks: marks)
        #expect(written.releasedBytes == 50_000 - free && queue.reservedBytes == free)
        #expect(queue.releaseUnneeded() == 0 && queue.releaseAll() == 0)
    }

    @Test(arguments: 0..<UInt64(100)) func `what is taken of the budget is given back`(seed: UInt64) {
        var numbers = SeededGenerator(seed: seed)
        let marks = SendQueue.Marks(high: 1 << 20, low: 1 << 18)
        var queue = SendQueue()
        var budget = SendBudget(bytes: 1 << 20)
        var empty = WireBuffer()
        var underway = 0
        for step in 0..<300 {
            if Bool.random(using: &numbers) {
                while !queue.isWithinReserve, budget.takeChunk(reserved: queue.reservedBytes) {
                    queue.reserve(SendBudget.chunkBytes)
                }
                if queue.isWithinReserve, queue.wait(for: .raw, marks: marks) == nil {
                    queue.send(Int.random(in: 1...100_000, using: &numbers))
                    if queue.isBeyondReserve { budget.charge(queue.reserveRest()) }
                }
            } else if underway == 0 {
                empty = WireBuffer()
                if case .bytes = queue.takeNext(into: &empty, at: UInt64(step)) { underway = empty.count }
            } else {
                let bytes = Int.random(in: 1...underway, using: &numbers)
                underway -= bytes
                budget.giveBack(queue.written(bytes, marks: marks).releasedBytes)
            }
            #expect(queue.reservedBytes >= max(SendBudget.freeBytes, queue.unwrittenBytes))
            #expect(budget.available + queue.reservedBytes - SendBudget.freeBytes == 1 << 20, "step \(step)")
        }
        budget.giveBack(queue.releaseAll())
        #expect(budget.available == 1 << 20 && queue.reservedBytes == SendBudget.freeBytes)
    }

    // MARK: Writing

    @Test func `files and bytes keep their order`() throws {
        let file = try File(reading: #filePath)
        var queue = SendQueue()
        queue.append(FileRange(file, offset: 7, count: 100))
        queue.send(10)
        queue.send(5)
        queue.append(FileRange(file, offset: 200, count: 20))
        queue.append(FileRange(file, offset: 300, count: 3))
        queue.send(1)
        #expect(queue.unwrittenBytes == 139 && queue.unhandedBytes == 139 && !queue.isEmpty)
        #expect(queue.requestFlush() && !queue.requestFlush())
        var order: [String] = []
        for now in UInt64(1)... {
            var buffer = WireBuffer()
            switch queue.takeNext(into: &buffer, at: now) {
            case .bytes: order.append("\(buffer.count)")
            case .file(let range): order.append("\(range.offset)+\(range.count)")
            case .sealed(_, let count): order.append("sealed \(count)")
            case .nothing: order.append("nothing")
            }
            if order.last == "nothing" { break }
        }
        #expect(order == ["7+100", "15", "200+20", "300+3", "1", "nothing"])
        #expect(queue.isEmpty && queue.handedBytes == 139 && queue.unhandedBytes == 0)
        #expect(queue.unwrittenBytes == 139, "handed over is not written")
        #expect(queue.lastHanded == 5)
        #expect(!queue.isFlushRequested, "a queue found empty asks again")
        #expect(queue.requestFlush() == false, "there is nothing to flush")
    }

    @Test func `the buffer changes places with the one that is passed in`() {
        var queue = SendQueue()
        queue.send(10)
        var buffer = WireBuffer()
        #expect(queue.takeNext(into: &buffer, at: 1).isBytes)
        #expect(buffer.count == 10 && queue.buffer.isEmpty)
        guard case .nothing(let hasLargeBuffer) = queue.takeNext(into: &buffer, at: 2) else {
            return #expect(Bool(false))
        }
        #expect(!hasLargeBuffer)
        #expect(buffer.count == 10, "it is left alone")
    }

    @Test func `a buffer with much room says so when it is empty, until it is dropped`() {
        var queue = SendQueue()
        var spare = WireBuffer()
        spare.append([UInt8](repeating: 0, count: 10_000))
        spare.removeAll(keeping: 1 << 20)
        queue.send(1)
        #expect(queue.takeNext(into: &spare, at: 1).isBytes)
        guard case .nothing(let hasLargeBuffer) = queue.takeNext(into: &spare, at: 2) else {
            return #expect(Bool(false))
        }
        #expect(hasLargeBuffer)
        queue.dropEmptyBuffer()
        #expect(!queue.buffer.isLarge)
        queue.send(3)
        queue.dropEmptyBuffer()
        #expect(queue.buffer.count == 3, "only an empty one is dropped")
    }

    @Test(arguments: [(4_096, true), (4_097, false)])
    func `a sender's thread writes what is short`(bytes: Int, isShort: Bool) {
        var queue = SendQueue()
        queue.send(bytes)
        #expect(queue.mayWriteDirectly == isShort)
    }

    @Test func `a sender's thread does not overtake the loop`() throws {
        var asked = SendQueue()
        asked.send(10)
        #expect(asked.mayWriteDirectly)
        #expect(asked.requestFlush() == true)
        #expect(!asked.mayWriteDirectly, "a flush was asked for")

        var underway = SendQueue()
        underway.send(10)
        var buffer = WireBuffer()
        _ = underway.takeNext(into: &buffer, at: 1)
        underway.send(10)
        #expect(!underway.mayWriteDirectly, "the link has bytes that are not written")
        _ = underway.written(10, marks: marks)
        #expect(underway.mayWriteDirectly)
        underway.append(FileRange(try File(reading: #filePath), offset: 0, count: 1))
        #expect(!underway.mayWriteDirectly, "a file comes first")
    }

    /// The same bytes, written by the loop and by a sender's thread.
    @Test func `bytes written directly are accounted for like others`() {
        var direct = SendQueue()
        direct.send(100, .message)
        direct.writeDirectly(at: 760) { buffer in
            buffer.removeFirst(100)
            return .written(100)
        }
        var ordinary = SendQueue()
        ordinary.send(100, .message)
        var buffer = WireBuffer()
        _ = ordinary.takeNext(into: &buffer, at: 760)
        _ = ordinary.written(100, marks: marks)
        for queue in [direct, ordinary] {
            #expect(queue.isEmpty && queue.unwrittenBytes == 0 && queue.unhandedBytes == 0)
            #expect(queue.handedBytes == 100 && queue.counters.bytes == 100)
            #expect(queue.lastHanded == 760)
            #expect(!queue.isCutOff)
        }
        #expect(direct.beginWatch() && ordinary.beginWatch())
    }

    @Test func `what could not be written directly stays, and a write of nothing is none`() {
        var queue = SendQueue()
        queue.send(100)
        queue.writeDirectly(at: 5) { _ in .written(0) }
        #expect(queue.unwrittenBytes == 100 && queue.handedBytes == 0 && queue.lastHanded == 0)
        #expect(queue.beginWatch() == false, "there is nothing to watch")
        queue.writeDirectly(at: 6) { buffer in
            buffer.removeFirst(30)
            return .written(30)
        }
        #expect(queue.unwrittenBytes == 70 && queue.unhandedBytes == 70 && queue.handedBytes == 30)
        #expect(queue.buffer.count == 70 && queue.lastHanded == 6)
        queue.writeDirectly(at: nil) { buffer in
            buffer.removeFirst(20)
            return .written(20)
        }
        #expect(queue.lastHanded == 6, "nobody asks when")
        #expect(queue.handedBytes == 50 && queue.counters.bytes == 50)
        queue.writeDirectly(at: 7) { _ in .written(-1) }
        #expect(queue.unwrittenBytes == 50 && queue.lastHanded == 6, "nor is a failure")
    }

    @Test func `what was sealed and not written comes first, and counts when it is written`() {
        for rest in [[], [7, 8, 9]] as [[UInt8]] {
            var queue = SendQueue()
            queue.send(100, .message)
            queue.writeDirectly(at: 5) { buffer in
                buffer.removeAll()
                return .sealed(rest: rest)
            }
            let isWritten = rest.isEmpty
            #expect(queue.unwrittenBytes == (isWritten ? 0 : 100) && queue.isEmpty == isWritten)
            #expect(queue.handedBytes == (isWritten ? 100 : 0) && queue.lastHanded == (isWritten ? 5 : 0))
            guard !isWritten else { continue }
            #expect(queue.requestFlush() == true)
            queue.send(10, .message)
            let overtakes = writeShort(&queue, at: 6)
            #expect(!queue.mayWriteDirectly && !overtakes)
            var buffer = WireBuffer()
            guard case .sealed(let bytes, of: 100) = queue.takeNext(into: &buffer, at: 7) else {
                Issue.record("the rest does not come first")
                continue
            }
            #expect(bytes == rest && buffer.isEmpty && queue.handedBytes == 100 && queue.lastHanded == 7)
            _ = queue.written(100, marks: marks)
            let next = queue.takeNext(into: &buffer, at: 8)
            #expect(next.isBytes && buffer.count == 10)
        }
    }

    @Test func `the loop's short write of a secured link leaves what the socket does not take`() {
        var queue = SendQueue()
        queue.send(10)
        #expect(queue.requestFlush() == true)
        let isWritten = queue.writeShort(at: 1) { buffer in
            buffer.removeAll()
            return .sealed(rest: [1])
        }
        #expect(!isWritten && queue.unwrittenBytes == 10 && queue.isFlushRequested && !queue.isEmpty)
    }

    @Test func `heartbeats that were sealed and not written are no use, and none of the next bytes`() {
        var queue = SendQueue()
        queue.sendHeartbeat(9)
        _ = queue.writeShort(at: 1) { buffer in
            buffer.removeAll()
            return .sealed(rest: [1])
        }
        var buffer = WireBuffer()
        _ = queue.takeNext(into: &buffer, at: 2)
        #expect(queue.handedBytes == 9 && queue.lastHanded == 0)
        queue.send(5)
        _ = queue.takeNext(into: &buffer, at: 3)
        #expect(queue.handedBytes == 14 && queue.lastHanded == 3)
    }

    /// Writes at most so many bytes past the link, as the loop does.
    private func writeShort(_ queue: inout SendQueue, at now: UInt64, atMost most: Int = .max) -> Bool {
        queue.writeShort(at: now) { buffer in
            let count = min(most, buffer.count)
            buffer.removeFirst(count)
            return .written(count)
        }
    }

    @Test func `the loop writes the whole of a short buffer past the link`() {
        var queue = SendQueue()
        #expect(!writeShort(&queue, at: 1), "there is nothing")
        queue.send(SendQueue.directBytes)
        #expect(queue.requestFlush() && writeShort(&queue, at: 2))
        #expect(queue.isEmpty && queue.unwrittenBytes == 0 && queue.lastHanded == 2)
        #expect(queue.handedBytes == SendQueue.directBytes && !queue.isFlushRequested)

        queue.send(10)
        #expect(queue.requestFlush() && !writeShort(&queue, at: 3, atMost: 4), "the link takes the rest")
        #expect(queue.buffer.count == 6 && queue.unwrittenBytes == 6 && queue.isFlushRequested)
        #expect(writeShort(&queue, at: 4))

        queue.send(SendQueue.directBytes + 1)
        #expect(!writeShort(&queue, at: 5), "more than is short")
        var buffer = WireBuffer()
        _ = queue.takeNext(into: &buffer, at: 6)
        queue.send(1)
        #expect(!writeShort(&queue, at: 7), "the link has something to write before it")
    }

    @Test func `heartbeats that are written so are no use either`() {
        var queue = SendQueue()
        queue.sendHeartbeat(9)
        #expect(writeShort(&queue, at: 1) && queue.lastHanded == 0 && queue.handedBytes == 9)
        queue.sendHeartbeat(9)
        queue.send(1)
        #expect(writeShort(&queue, at: 2) && queue.lastHanded == 2)
        queue.send(1)
        #expect(writeShort(&queue, at: 3) && queue.lastHanded == 3, "those of before do not count against it")
    }

    @Test func `bytes under way are neither unhanded nor written`() {
        var queue = SendQueue()
        queue.send(100)
        var buffer = WireBuffer()
        _ = queue.takeNext(into: &buffer, at: 1)
        queue.send(30)
        #expect(queue.unhandedBytes == 30 && queue.unwrittenBytes == 130 && queue.handedBytes == 100)
        _ = queue.written(40, marks: marks)
        #expect(queue.unhandedBytes == 30 && queue.unwrittenBytes == 90 && queue.counters.bytes == 40)
        #expect(queue.linkBytes == 60)
        _ = queue.written(60, marks: marks)
        #expect(queue.unhandedBytes == 30 && queue.unwrittenBytes == 30 && queue.counters.bytes == 100)
        #expect(queue.linkBytes == 0)
    }

    // MARK: Watches

    @Test func `a watch begins once, for bytes behind those that were found acknowledged`() {
        var queue = SendQueue()
        #expect(!queue.beginWatch() && !queue.isWatched)
        queue.takeAndWrite(sending: 1, at: 1)
        #expect(queue.beginWatch() && queue.isWatched)
        #expect(queue.beginWatch() == false)
        #expect(queue.acknowledgedBytes == 0)
        #expect(queue.endWatch(of: 1) && !queue.isWatched && queue.acknowledgedBytes == 1)
        #expect(queue.beginWatch() == false, "all of it is acknowledged")
        queue.takeAndWrite(sending: 1, at: 2)
        #expect(queue.beginWatch() == true)
    }

    @Test func `a watch goes on when a sender's thread has written since the look`() {
        var queue = SendQueue()
        queue.takeAndWrite(sending: 10, at: 1)
        #expect(queue.beginWatch() == true)
        queue.send(5)
        queue.writeDirectly(at: 2) { buffer in
            buffer.removeFirst(5)
            return .written(5)
        }
        #expect(!queue.endWatch(of: 10) && queue.isWatched && queue.acknowledgedBytes == 10)
        #expect(queue.endWatch(of: 15) && !queue.isWatched)
    }

    // MARK: Heartbeats

    @Test func `heartbeats are handed over like all bytes, and are no use`() {
        var queue = SendQueue()
        queue.takeAndWrite(sending: 10, at: 1)
        queue.sendHeartbeat(9)
        queue.takeAndWrite(sending: 0, at: 2)
        #expect(queue.handedBytes == 19 && queue.lastHanded == 1)
        queue.sendHeartbeat(9)
        queue.sendHeartbeat(9)
        queue.takeAndWrite(sending: 0, at: 3)
        #expect(queue.handedBytes == 37 && queue.lastHanded == 1)
        queue.sendHeartbeat(9)
        queue.takeAndWrite(sending: 1, at: 4)
        #expect(queue.lastHanded == 4, "a byte more than heartbeats is one of use")
        queue.takeAndWrite(sending: 1, at: 5)
        #expect(queue.lastHanded == 5, "heartbeats of before do not count against it")
        var fresh = SendQueue()
        fresh.takeAndWrite(sending: 1, at: 6)
        #expect(fresh.lastHanded == 6, "the first byte of all is one of use")
    }

    @Test func `a heartbeat behind a file counts neither there nor as use of its own`() throws {
        var queue = SendQueue()
        queue.send(5)
        queue.append(FileRange(try File(reading: #filePath), offset: 0, count: 5))
        queue.sendHeartbeat(9)
        var buffer = WireBuffer()
        #expect(queue.takeNext(into: &buffer, at: 1).isBytes && queue.lastHanded == 1)
        #expect(!queue.takeNext(into: &buffer, at: 2).isBytes && queue.lastHanded == 2)
        #expect(queue.takeNext(into: &buffer, at: 3).isBytes && buffer.count == 9)
        #expect(queue.lastHanded == 2)
    }

    @Test func `a heartbeat before a file does not count against what comes behind it`() throws {
        var queue = SendQueue()
        queue.sendHeartbeat(9)
        queue.append(FileRange(try File(reading: #filePath), offset: 0, count: 5))
        queue.send(1)
        var buffer = WireBuffer()
        for now in UInt64(1)...3 { _ = queue.takeNext(into: &buffer, at: now) }
        #expect(buffer.count == 1 && queue.lastHanded == 3)
    }

    // MARK: The end

    @Test func `an end loses what is unwritten, and a stream that is open`() {
        var queue = SendQueue()
        #expect(!queue.isCutOff)
        queue.send(10, .streamOpening)
        #expect(queue.isCutOff)
        var buffer = WireBuffer()
        _ = queue.takeNext(into: &buffer, at: 1)
        #expect(queue.isCutOff, "handed over is not written")
        _ = queue.written(10, marks: marks)
        #expect(queue.isCutOff, "the stream has no end")
        queue.endStream()
        #expect(!queue.isCutOff)
        queue.send(1)
        #expect(queue.isCutOff)
    }

    @Test func `a stream lacks something until that has followed, or until it ends`() {
        var queue = SendQueue()
        queue.send(10, .streamOpening)
        #expect(!queue.isStreamPartial, "what was accepted may be all of it")
        queue.beginPart()
        #expect(queue.isStreamPartial)
        queue.send(10, .streamBytes(of: 1))
        #expect(queue.isStreamPartial)
        queue.endPart()
        #expect(!queue.isStreamPartial)
        queue.beginPart()
        queue.endStream()
        #expect(!queue.isStreamPartial)
        queue.beginPart()
        queue.send(10, .streamOpening)
        #expect(queue.isStreamPartial, "from its opening on")
    }

    @Test func `what is dropped stays counted as unwritten`() throws {
        var queue = SendQueue()
        queue.append(FileRange(try File(reading: #filePath), offset: 0, count: 5))
        queue.send(10)
        queue.dropUnhanded()
        #expect(queue.isEmpty && queue.unwrittenBytes == 15 && queue.isCutOff)
        var buffer = WireBuffer()
        guard case .nothing = queue.takeNext(into: &buffer, at: 1) else { return #expect(Bool(false)) }
    }

    @Test func `an append that throws counts nothing that it did not append`() {
        var queue = SendQueue()
        let refused = ParleyError(.messageTooLong, "too long")
        #expect(throws: refused) {
            try queue.append { (_) throws(ParleyError) -> Void in throw refused }
        }
        #expect(queue.unwrittenBytes == 0 && queue.isEmpty)
    }
}

extension SendQueue {
    /// Appends so many bytes, accepted as one send.
    fileprivate mutating func send(_ count: Int, _ kind: Kind = .raw) {
        try? append { (buffer) throws(ParleyError) in buffer.append([UInt8](repeating: 1, count: count)) }
        accepted(kind)
    }

    fileprivate mutating func sendHeartbeat(_ count: Int) {
        try? append { (buffer) throws(ParleyError) in buffer.append([UInt8](repeating: 2, count: count)) }
        noteHeartbeat(count)
    }

    /// Hands all over; so many bytes are written.
    fileprivate mutating func takeAndWrite(_ bytes: Int, marks: Marks) -> Written {
        var buffer = WireBuffer()
        _ = takeNext(into: &buffer, at: 0)
        return written(bytes, marks: marks)
    }

    /// Sends so many bytes, hands all over and writes it.
    fileprivate mutating func takeAndWrite(sending bytes: Int, at now: UInt64) {
        if bytes > 0 { send(bytes) }
        var buffer = WireBuffer()
        _ = takeNext(into: &buffer, at: now)
        _ = written(buffer.count, marks: Marks(high: 1_000, low: 250))
    }
}

extension SendQueue.Next {
    fileprivate var isBytes: Bool { if case .bytes = self { true } else { false } }
}
