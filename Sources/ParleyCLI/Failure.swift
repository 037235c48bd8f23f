import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What the tool itself finds wrong: one sentence without a full stop.
struct Failure: Error {
    let sentence: String

    init(_ sentence: String) { self.sentence = sentence }
}

extension Failure {
    /// How an error is told in one line; nil when it is not one of the tool's, the library's or the system's.
    static func sentence(of error: any Error) -> String? {
        switch error {
        case let error as Failure: error.sentence
        case let error as ParleyError: error.message
        case let error as Refusal: error.reason
        case let error as SystemError: error.reason
        case is CancellationError: "interrupted"
        default: nil
        }
    }
}

/// An `errno`, and nothing about what was tried.
struct SystemError: Error, Equatable {
    let code: Int32

    /// What the last failed call of this thread has left behind.
    static var last: SystemError { SystemError(code: errno) }

    /// The system's own words.
    var reason: String { String(cString: strerror(code)) }
}
