extension Unmanaged {
    /// Lends the object to `body` without counting a reference to it: the caller knows that it stays. For what is done for
    /// every message.
    @inline(__always)
    func withBorrowed<Result, Failure: Error>(
        _ body: (Instance) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // The standard library's own does not know typed errors.
        let outcome = _withUnsafeGuaranteedRef { instance -> Swift.Result<Result, Failure> in
            do throws(Failure) { return .success(try body(instance)) } catch { return .failure(error) }
        }
        return try outcome.get()
    }
}
