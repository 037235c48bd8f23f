// A data race on purpose: `make tsan` fails unless ThreadSanitizer reports it, so that its silence about the
// library means something. Swift 5 mode, which lets it compile.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

nonisolated(unsafe) var counter = 0

let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { _ in
    for _ in 0..<100_000 { counter += 1 }
    return nil
}

#if canImport(Darwin)
    var threads: [pthread_t?] = [nil, nil]
    for index in threads.indices { pthread_create(&threads[index], nil, { _ in body(nil) }, nil) }
    for case let thread? in threads { pthread_join(thread, nil) }
#else
    var threads: [pthread_t] = [0, 0]
    for index in threads.indices { pthread_create(&threads[index], nil, body, nil) }
    for thread in threads { pthread_join(thread, nil) }
#endif
print("counted to \(counter)")
