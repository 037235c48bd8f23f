import Testing

@testable import Parley

/// Errors are equal when code, message and system code are. Each code has a name.
@Suite struct ParleyErrorTests {
    @Test func `errors are equal when code, message and system code are`() {
        let error = ParleyError(.closed, "gone", systemCode: 5)
        #expect(error == error)
        #expect(error == ParleyError(.closed, "gone", systemCode: 5))
        let others = [
            ParleyError(.idle, "gone", systemCode: 5), ParleyError(.closed, "going", systemCode: 5),
            ParleyError(.closed, "gone", systemCode: 6), ParleyError(.closed, "gone"),
        ]
        for other in others { #expect(error != other) }
        #expect(Set([error] + others + others).count == 5)
    }

    @Test func `a description names the code`() {
        #expect("\(ParleyError(.timedOut, "too late"))" == "too late (timedOut)")
        #expect("\(ParleyError.Code(rawValue: -4_000))" == "code -4000")
        // Every number up to the first that is free has a name of its own.
        let names = (1...35).map { "\(ParleyError.Code(rawValue: -Int32($0)))" }
        #expect(Set(names).count == 35 && !names.contains { $0.hasPrefix("code") })
    }
}
