// A data race on purpose: `make tsan` fails unless ThreadSanitizer reports it, so that its silence about the
// library means something. Compiled in Swift 5 mode, which lets it.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Two of these count without a lock, and take turns at it also where there is one core: what a thread did
/// that has ended before the other began is not always noticed.
func count(_ counter: UnsafeMutableRawPointer) {
    let counter = counter.assumingMemoryBound(to: Int.self)
    for _ in 0..<1_000 {
        for _ in 0..<1_000 { counter.pointee += 1 }
        sched_yield()
    }
}

let counter = UnsafeMutablePointer<Int>.allocate(capacity: 1)
counter.initialize(to: 0)

#if canImport(Darwin)
    var first: pthread_t?
    var second: pthread_t?
    func wait(_ thread: pthread_t?) { if let thread { pthread_join(thread, nil) } }
    let body: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = {
        count($0)
        return nil
    }
#else
    var first = pthread_t()
    var second = pthread_t()
    func wait(_ thread: pthread_t) { pthread_join(thread, nil) }
    let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
        count($0!)
        return nil
    }
#endif

pthread_create(&first, nil, body, counter)
pthread_create(&second, nil, body, counter)
wait(first)
wait(second)
print("counted to \(counter.pointee)")
