import Parley

/// What the receiver says.
enum TransferAnswer: Equatable {
    case ready
    case refused(String)
    case stored(byteCount: Int)
    case failed(String)

    /// Reasons quote what the other side chose; this keeps the answer a small message.
    private static let maxReasonBytes = 500

    /// The message that says so.
    var encoded: [UInt8] {
        switch self {
        case .ready: Array("ready".utf8)
        case .refused(let reason): Array("refused ".utf8) + reason.printable.utf8.prefix(Self.maxReasonBytes)
        case .stored(let byteCount): Array("stored \(byteCount)".utf8)
        case .failed(let reason): Array("failed ".utf8) + reason.printable.utf8.prefix(Self.maxReasonBytes)
        }
    }

    /// Nil when it is no such answer.
    init?(decoding message: ArraySlice<UInt8>) {
        let words = message.split(separator: UInt8(ascii: " "), maxSplits: 1).map(String.init(printable:))
        switch (words.first, words.dropFirst().first) {
        case ("ready", nil): self = .ready
        case ("refused", let reason): self = .refused(reason ?? "")
        case ("stored", let count?):
            guard let byteCount = Int(count) else { return nil }
            self = .stored(byteCount: byteCount)
        case ("failed", let reason): self = .failed(reason ?? "")
        default: return nil
        }
    }
}
