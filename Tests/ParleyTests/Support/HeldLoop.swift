import Dispatch

@testable import Parley

/// An event loop whose thread is blocked.
final class HeldLoop: Sendable {
    private let release = DispatchSemaphore(value: 0)

    init(_ loop: EventLoop) async {
        await withCheckedContinuation { continuation in
            loop.execute { [release] in
                continuation.resume()
                release.wait()
            }
        }
    }

    func letGo() { release.signal() }
}
