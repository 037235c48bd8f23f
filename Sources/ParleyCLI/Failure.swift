import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An error of the tool itself, described in one sentence without a full stop.
struct Failure: Error {
    let sentence: String

    init(_ sentence: String) { self.sentence = sentence }
}

extension Failure {
    /// The sentence that describes an error; nil when it is not one of the tool's, the library's or the
    /// system's.
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

/// An `errno`.
struct SystemError: Error, Equatable {
    let code: Int32

    /// The `errno` of the last failed call on this thread.
    static var last: SystemError { SystemError(code: errno) }

    /// There is nothing of that name.
    static var missing: SystemError { SystemError(code: ENOENT) }

    /// The system's description, as strerror(3) returns it, with a small first letter like those of the
    /// library's errors.
    var reason: String { String(cString: strerror(code)).withSmallInitial }
}

extension String {
    /// The text as a part of a sentence: with a small first letter, unless it begins as `I/O error` does.
    var withSmallInitial: String {
        guard dropFirst().first?.isLowercase == true else { return self }
        return prefix(1).lowercased() + dropFirst()
    }
}
