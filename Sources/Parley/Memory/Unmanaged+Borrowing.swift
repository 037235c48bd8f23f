extension Unmanaged {
    /// Calls `body` with the object without retaining it. The caller guarantees that the object outlives the
    /// call. For code that runs for every message.
    @inline(__always)
    func withBorrowed<Result, Failure: Error>(
        _ body: (Instance) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // `_withUnsafeGuaranteedRef` does not support typed errors.
        let outcome = _withUnsafeGuaranteedRef { instance -> Swift.Result<Result, Failure> in
            do throws(Failure) { return .success(try body(instance)) } catch { return .failure(error) }
        }
        return try outcome.get()
    }
}
