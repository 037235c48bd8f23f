import Testing

@testable import Parley

/// The rate of accepts, as a value: a bucket of one second's worth.
@Suite struct AcceptBudgetTests {
    /// Takes tokens while there are some. Returns how many.
    private func takeAll(of budget: inout AcceptBudget, at now: UInt64) -> Int {
        var taken = 0
        while taken < 1_000_000, budget.wait(at: now) == nil {
            budget.take()
            taken += 1
        }
        return taken
    }

    @Test(arguments: [1, 2, 10, 1_000]) func `a second's worth at once, then the rate`(perSecond: Int) {
        var budget = AcceptBudget(perSecond: perSecond)
        #expect(takeAll(of: &budget, at: 5_000) == perSecond)
        var taken = 0
        for now in UInt64(5_001)...15_000 { taken += takeAll(of: &budget, at: now) }
        // Tokens are fractions, so the last one may come a millisecond later.
        #expect((10 * perSecond - 1...10 * perSecond).contains(taken), "in ten seconds")
        #expect(takeAll(of: &budget, at: 3_600_000) == perSecond, "it does not hold more than a second's")
    }

    @Test(arguments: [
        (perSecond: 1, after: UInt64(0), wait: 1_000), (1, 400, 600), (1, 750, 250), (2, 0, 500),
        (2, 100, 400), (10, 0, 100), (10, 30, 70), (1_000, 0, 1), (300, 0, 4), (5_000, 0, 1),
    ]) func `the wait is until the next token`(perSecond: Int, after: UInt64, wait: Int) {
        var budget = AcceptBudget(perSecond: perSecond)
        #expect(takeAll(of: &budget, at: 0) == perSecond)
        #expect(budget.wait(at: after) == .milliseconds(wait))
        #expect(budget.wait(at: after + UInt64(wait)) == nil, "then there is one")
    }

    @Test(arguments: [0, -5]) func `no rate at all is one a second`(perSecond: Int) {
        var budget = AcceptBudget(perSecond: perSecond)
        #expect(takeAll(of: &budget, at: 0) == 1)
        #expect(budget.wait(at: 0) == .seconds(1))
    }

    @Test func `a clock that steps back gives nothing and takes nothing`() {
        var budget = AcceptBudget(perSecond: 10)
        #expect(takeAll(of: &budget, at: 10_000) == 10)
        #expect(budget.wait(at: 9_000) == .milliseconds(100))
        #expect(budget.wait(at: 9_050) == .milliseconds(50))
    }

    @Test func `what was taken in advance is waited for`() {
        var budget = AcceptBudget(perSecond: 10)
        for _ in 0..<30 { budget.take() }
        #expect(budget.wait(at: 0) == .milliseconds(2_100))
        #expect(budget.wait(at: 2_000) == .milliseconds(100))
        #expect(takeAll(of: &budget, at: 2_100) == 1)
    }
}
