@testable import ParleyCLI

/// Waits until something is so that nobody reports, as what is in a folder.
func eventually(_ isSo: () throws -> Bool) async throws {
    let end = ContinuousClock.now + ToolProcess.deadline
    while try !isSo() {
        guard .now < end else { throw Failure("it has not come about") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
