import Testing

@testable import Parley

@Suite struct InMemoryLinkTests {
    /// Takes a number of reads, and then no more.
    private final class Reader: LinkOwner {
        private let link: InMemoryLink
        private var readsLeft: Int
        private(set) var received = 0
        private(set) var isWritten = false

        init(_ link: InMemoryLink, reads: Int) {
            self.link = link
            readsLeft = reads
            link.setOwner(self)
            if reads > 0 { link.startReading() }
        }

        func linkWillRead() -> ReadTarget { .shared }
        func linkDidRead(into frame: consuming PeerState.LargeFrame) {}
        func linkDidRead(_ block: ArraySlice<UInt8>) {}

        func linkDidRead(_ bytes: Span<UInt8>) {
            received += bytes.count
            readsLeft -= 1
            if readsLeft == 0 { link.stopReading() }
        }

        func linkDidEnd(_ reason: ParleyError) {}
        func linkDidWrite(_ failure: ParleyError?, returning buffer: inout WireBuffer) { isWritten = true }
        func linkDidClose() {}
    }

    @Test func `a write that waits is not acknowledged, however little is missing`() async throws {
        let loop = EventLoop()
        try await Task(executorPreference: loop) { () async throws in
            let (one, two) = (InMemoryLink(on: loop), InMemoryLink(on: loop))
            InMemoryLink.join(one, two)
            // Joined links keep each other and the loop alive.
            defer { for link in [one, two] { link.close(abortively: true) } }
            let writer = Reader(one, reads: 0)
            let reader = Reader(two, reads: 1)
            #expect(try one.write(WireBuffer([UInt8](repeating: 1, count: InMemoryLink.capacityBytes))))
            #expect(one.status.unacknowledgedBytes == 0)
            #expect(try !one.write(WireBuffer([2, 2])))
            #expect(one.status.unacknowledgedBytes == 2)
            while reader.received == 0 { await Task.yield() }
            // There is room, and the writer is not told yet.
            #expect(reader.received == InMemoryLink.readBytes && !writer.isWritten)
            #expect(one.status.unacknowledgedBytes == 1)
        }.value
        await loop.stop()
    }
}
