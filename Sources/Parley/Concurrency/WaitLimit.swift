/// How long a blocking call may take.
package enum WaitLimit: Sendable {
    /// It may not wait at all.
    case none
    /// Until then; nil is for ever.
    case until(MonotonicTime?)

    var isNone: Bool { if case .none = self { true } else { false } }
}
