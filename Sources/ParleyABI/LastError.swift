import CParley
import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The message of the last failed call on one thread.
private final class LastError {
    private var message = ""
    /// The number with which the other side refused a request or aborted a stream, if that was the failure.
    var remoteCode: UInt32 = 0
    private var cString: UnsafeMutablePointer<CChar>?

    deinit { free(cString) }

    func set(_ message: String) {
        self.message = message
        remoteCode = 0
        free(cString)
        cString = nil
    }

    /// The C string is made on demand: most programs read only the code.
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
        precondition(status == 0, "pthread_key_create failed")
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

/// Stores an error's message for `parley_last_error` and returns its code.
func record(_ error: ParleyError) -> Int32 {
    let last = LastError.ofThisThread
    last.set(error.message)
    last.remoteCode = error.remoteCode ?? 0
    return error.code.rawValue
}

/// The same for an error of any type.
func record(_ error: any Error) -> Int32 {
    switch error {
    case let error as ParleyError: return record(error)
    case let failure as ForeignFailure:
        LastError.ofThisThread.set(failure.description)
        return failure.code
    case is CancellationError:
        LastError.ofThisThread.set("the call was cancelled")
        return PARLEY_ECANCELED.rawValue
    default:
        LastError.ofThisThread.set("\(error)".printable)
        return PARLEY_ESYSTEM.rawValue
    }
}

/// Runs `body` and returns `PARLEY_OK` or the code of the error that it throws. Throws `forked` for it in a
/// forked child.
@inline(__always)
func status(_ body: () throws -> Void) -> Int32 {
    outcome {
        try ForkedChild.check()
        try body()
    }
}

/// As ``status(_:)``, also in a forked child.
@inline(__always)
func outcome(_ body: () throws -> Void) -> Int32 {
    do {
        try body()
        return PARLEY_OK.rawValue
    } catch { return record(error) }
}

/// As ``counted(_:)``, without the cost of an error of any type. For calls that fail as often as they
/// succeed, because they may not wait.
@inline(__always)
func countedOften<Count: SignedInteger>(_ body: () throws(ParleyError) -> Count) -> Count {
    do {
        try ForkedChild.check()
        return try body()
    } catch { return Count(record(error)) }
}

/// Runs `body` and returns its count or the code of the error that it throws; as ``status(_:)``.
@inline(__always)
func counted<Count: SignedInteger>(_ body: () throws -> Count) -> Count {
    do {
        try ForkedChild.check()
        return try body()
    } catch { return Count(record(error)) }
}

/// See parley.h.
@c @implementation
public func parley_last_error() -> UnsafePointer<CChar>? { LastError.ofThisThread.get() }

/// See parley.h.
@c @implementation
public func parley_last_remote_code() -> UInt32 { LastError.ofThisThread.remoteCode }
