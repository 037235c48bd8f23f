import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A thread of the library: detached, with a name, and without signals.
///
/// It blocks every signal that the kernel could deliver to another thread instead, so that a program that
/// masks a signal, or waits for it, gets it there. SIGPIPE is among them: libuv writes without MSG_NOSIGNAL.
/// Signals that report a fault of the thread itself, such as SIGSEGV, stay open: while they are blocked, the
/// kernel ends the process without calling its handler.
package enum LibraryThread {
    /// Starts a thread.
    ///
    /// - Parameters:
    ///   - name: what debuggers and ps(1) call it. Linux keeps its first 15 bytes.
    ///   - body: runs on the thread.
    /// - Returns: 0, or the `errno` of pthread_create(3).
    package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) -> Int32 {
        let context = Unmanaged.passRetained(Entry(name, body)).toOpaque()
        let status = withSignalsBlocked {
            #if canImport(Darwin)
                var thread: pthread_t?
                let status = pthread_create(&thread, nil, { LibraryThread.enter($0) }, context)
                if status == 0, let thread { pthread_detach(thread) }
            #else
                var thread = pthread_t()
                let status = pthread_create(&thread, nil, { LibraryThread.enter($0!) }, context)
                if status == 0 { pthread_detach(thread) }
            #endif
            return status
        }
        if status != 0 { Unmanaged<Entry>.fromOpaque(context).release() }
        return status
    }

    /// Blocks signals while `body` runs. Threads that it starts inherit the mask, and have no moment in which
    /// they take signals.
    package static func withSignalsBlocked<Result>(_ body: () -> Result) -> Result {
        var mask = sigset_t()
        var deferrable = deferrableSignals
        pthread_sigmask(SIG_BLOCK, &deferrable, &mask)
        defer { pthread_sigmask(SIG_SETMASK, &mask, nil) }
        return body()
    }

    /// Names the calling thread of libuv's pool, if a thread of this library has started it: it has inherited
    /// a name of the library then. Otherwise the program uses the pool too, and the thread is the program's.
    static func namePoolThread() {
        var name = [CChar](repeating: 0, count: 16)
        guard pthread_getname_np(pthread_self(), &name, name.count) == 0 else { return }
        if name.starts(with: "parley loop".utf8.map { CChar($0) }) { nameCurrent("parley worker") }
    }

    /// Names the calling thread.
    static func nameCurrent(_ name: String) {
        // pthread_setname_np fails for a name that is too long.
        var bytes = Array(name.utf8.prefix(15).map { CChar(truncatingIfNeeded: $0) })
        bytes.append(0)
        #if canImport(Darwin)
            pthread_setname_np(bytes)
        #else
            pthread_setname_np(pthread_self(), bytes)
        #endif
    }

    /// All signals but those that a fault in a thread raises there.
    private static var deferrableSignals: sigset_t {
        var signals = sigset_t()
        sigfillset(&signals)
        for fault in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS] { sigdelset(&signals, fault) }
        return signals
    }

    /// What a new thread starts with.
    private final class Entry {
        let name: String
        let body: @Sendable () -> Void

        init(_ name: String, _ body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private static func enter(_ context: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        let entry = Unmanaged<Entry>.fromOpaque(context).takeRetainedValue()
        nameCurrent(entry.name)
        entry.body()
        return nil
    }
}
