import CLibUV

// Counting open libuv handles, for tests.

extension EventLoop {
    /// The number of open libuv handles, including the loop's own; 0 when the loop does not run. The soak
    /// test checks with it that handles do not leak.
    package func countHandles() async -> Int {
        await withCheckedContinuation { continuation in
            let isRunning = execute { [self] in
                var count = 0
                withUnsafeMutablePointer(to: &count) { count in
                    uv_walk(
                        uv,
                        { _, count in count!.assumingMemoryBound(to: Int.self).pointee += 1 },
                        count
                    )
                }
                continuation.resume(returning: count)
            }
            if !isRunning { continuation.resume(returning: 0) }
        }
    }
}
