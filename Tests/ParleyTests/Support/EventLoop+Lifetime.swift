import Testing

@testable import Parley

/// Runs a test with an event loop, stops it, and checks that nothing of it is left.
func withLoop(_ body: (EventLoop) async throws -> Void) async throws {
    let loop = EventLoop()
    do { try await body(loop) } catch {
        await loop.stop()
        throw error
    }
    await loop.stop()
    #expect(loop.hasEndedCleanly == true)
}
