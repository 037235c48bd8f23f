import Testing

@testable import Parley

@Suite struct OpenRequestsTests {
    /// Adds requests with these deadlines; their callers are numbered from 0.
    private func requests(_ deadlines: [UInt64], after lastNumber: UInt32 = 0) -> OpenRequests<Int> {
        var requests = OpenRequests<Int>(lastNumber: lastNumber)
        for (caller, deadline) in deadlines.enumerated() { _ = requests.add(caller, deadline: deadline) }
        return requests
    }

    @Test func `an answer goes to its caller once, in any order`() {
        var requests = requests([.max, .max, .max])
        #expect(requests.count == 3 && requests.sent == 3)
        let callers = [requests.answered(2), requests.answered(1), requests.answered(3)]
        #expect(callers == [1, 0, 2])
        #expect(requests.count == 0 && requests.lateAnswers == 0)
        // A second answer, and one that nobody asked for.
        let late = [requests.answered(2), requests.answered(77)]
        #expect(late == [nil, nil] && requests.lateAnswers == 2)
    }

    @Test func `a request that is given up keeps its place until its answer comes`() {
        var requests = requests([.max, .max])
        let callers = [requests.giveUp(1), requests.giveUp(1), requests.giveUp(5)]
        #expect(callers == [0, nil, nil], "its caller is told once")
        #expect(requests.count == 2)
        let late = requests.answered(1)
        #expect(late == nil && requests.count == 1 && requests.lateAnswers == 1)
        let again = requests.giveUp(1)
        #expect(again == nil)
    }

    @Test func `numbers count up, begin again after the last, and skip those in use`() {
        var requests = requests([.max, .max, .max], after: .max - 1)
        let callers = [requests.answered(.max), requests.answered(0)]
        #expect(callers == [0, 1] && requests.nextNumber == 2)

        var aRoundLater = self.requests([.max, .max, .max], after: 4)
        let caller = aRoundLater.answered(6)
        aRoundLater.lastNumber = 4
        #expect(caller == 1 && aRoundLater.nextNumber == 6, "5 is in use")
        _ = aRoundLater.add(3, deadline: .max)
        #expect(aRoundLater.nextNumber == 8, "7 is in use")
    }

    @Test func `deadlines expire in their order, each once`() {
        var requests = OpenRequests<Int>()
        let isEarlier = [100, 100, .max, 50].enumerated().map { requests.add($0, deadline: $1) }
        #expect(isEarlier == [true, false, false, true] && requests.nextCheck == 50)
        let expired = [49, 50].map { requests.expire(at: $0).expired }
        #expect(expired == [[], [3]] && requests.nextCheck == 100)
        let answered = requests.answered(1)
        let later = requests.expire(at: 1_000).expired
        #expect(answered == 0 && later == [1] && requests.nextCheck == .max)
        #expect(requests.count == 3, "those that expired keep their places")
        let late = requests.answered(4)
        #expect(late == nil && requests.lateAnswers == 1)
    }

    @Test func `callers that wait to send are woken at their deadline, and note it again`() {
        var requests = requests([100])
        let isEarlier = [requests.noteUnsent(deadline: 80), requests.noteUnsent(deadline: 90)]
        #expect(isEarlier == [true, false] && requests.nextCheck == 80)
        let early = requests.expire(at: 80)
        #expect(early.expired.isEmpty && early.wakesUnsent && requests.nextCheck == 100)
        let isEarlierAgain = requests.noteUnsent(deadline: 90)
        let both = requests.expire(at: 100)
        #expect(isEarlierAgain && both.expired == [0] && both.wakesUnsent && requests.nextCheck == .max)
    }

    @Test func `the end tells those who still wait`() {
        var requests = requests([.max, .max, .max])
        _ = requests.giveUp(2)
        let told = requests.removeAll().sorted()
        let toldAgain = requests.removeAll()
        #expect(told == [0, 2] && toldAgain.isEmpty && requests.count == 0)
    }
}
