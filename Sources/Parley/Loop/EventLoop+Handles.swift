import CLibUV

extension EventLoop {
    /// How many libuv handles are open now, the loop's own included; 0 when the loop does not run. For the soak, which
    /// has to see that they do not pile up.
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
