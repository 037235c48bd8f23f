import CParley
import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What went wrong last on a thread.
private final class LastError {
    private var message = ""
    /// Whether the last send of this thread that returned PARLEY_EAGAIN waits for its turn, rather than for room.
    var waitsForTurn = false
    private var cString: UnsafeMutablePointer<CChar>?

    deinit { free(cString) }

    func set(_ message: String) {
        self.message = message
        free(cString)
        cString = nil
    }

    /// Made only when somebody asks: most codes speak for themselves.
    func get() -> UnsafePointer<CChar> {
        if cString == nil { cString = strdup(message) }
        return UnsafePointer(cString!)
    }

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let status = pthread_key_create(&key) { value in
            #if canImport(Darwin)
                Unmanaged<LastError>.fromOpaque(value).release()
            #else
                if let value { Unmanaged<LastError>.fromOpaque(value).release() }
            #endif
        }
        precondition(status == 0, "no thread-specific key is left")
        return key
    }()

    static var ofThisThread: LastError {
        if let value = pthread_getspecific(key) {
            return Unmanaged<LastError>.fromOpaque(value).takeUnretainedValue()
        }
        let created = LastError()
        pthread_setspecific(key, Unmanaged.passRetained(created).toOpaque())
        return created
    }
}

/// Keeps an error for `parley_last_error`, and returns its code.
func record(_ error: any Error) -> Int32 {
    switch error {
    case let error as ParleyError:
        let last = LastError.ofThisThread
        last.set(error.message)
        if error.code == .wouldBlock { last.waitsForTurn = error.waitsForTurn }
        return error.code.rawValue
    case let failure as ForeignFailure:
        LastError.ofThisThread.set(failure.description)
        return failure.code
    case is CancellationError:
        LastError.ofThisThread.set("the call was given up")
        return PARLEY_ECANCELED.rawValue
    default:
        LastError.ofThisThread.set("\(error)")
        return PARLEY_ESYSTEM.rawValue
    }
}

/// What the last send of this thread that returned PARLEY_EAGAIN waits for.
var lastRefusal: SendQueue.Wait { LastError.ofThisThread.waitsForTurn ? .turn : .room }

/// Does something that may fail; says how it went.
@inline(__always)
func status(_ body: () throws -> Void) -> Int32 {
    do {
        try body()
        return PARLEY_OK.rawValue
    } catch { return record(error) }
}

/// The same with a count as the result.
@inline(__always)
func counted<Count: SignedInteger>(_ body: () throws -> Count) -> Count {
    do { return try body() } catch { return Count(record(error)) }
}

/// See parley.h.
@c @implementation
public func parley_last_error() -> UnsafePointer<CChar>? { LastError.ofThisThread.get() }
