import Logging
import Testing

@testable import Parley

@Suite("The text of a log event")
struct LogEventTests {
    private func text(_ own: Logger.Metadata?, with handlers: Logger.Metadata) -> String {
        LogEvent(
            level: .info,
            message: "peer connected",
            metadata: own,
            source: nil,
            file: "",
            function: "",
            line: 0
        ).text(with: handlers)
    }

    @Test("has the metadata by its keys; the event's own counts more than the handler's")
    func metadata() {
        #expect(text(nil, with: [:]) == "peer connected")
        #expect(text(["b": "2", "a": "1"], with: ["c": "3"]) == "peer connected a=1 b=2 c=3")
        #expect(text(["a": "1"], with: ["a": "9", "b": "2"]) == "peer connected a=1 b=2")
    }
}
