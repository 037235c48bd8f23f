/// The answer to a request of this side, as it arrived.
struct RequestAnswer: Sendable, Equatable {
    enum Outcome: Sendable, Equatable {
        case reply(ArraySlice<UInt8>)
        /// The code and the reason of the other side.
        case refusal(UInt32, String)
    }

    /// The request's number.
    let request: UInt32
    let outcome: Outcome
}
