/// What a good peer asks, and what the node does about it; the same for the nodes in Swift and in C.
enum Request: Equatable {
    /// The message goes back as it is.
    case ping
    /// The message goes back in ``pieces``.
    case bulk
    /// ``feedBytes`` after ``feedBytes`` is sent, for as long as the connection lasts.
    case feed
    /// Nothing is answered: a secured node must never see it.
    case forged
    /// Nothing is answered: a node must see each number once.
    case once(UInt64)
    /// Nothing is answered.
    case other

    static let bulkBytes = 1 << 20
    /// A bulk message comes back in as many messages: more than the first of them needs the node's budget for
    /// sending.
    static let pieces = 16
    static let pieceBytes = bulkBytes / pieces
    static let feedBytes = 64 << 10

    /// A message that was changed, or is not where it belongs.
    static let forgedMessage = Array("forged".utf8)
    private static let onceText = "once "

    /// A message that is sent twice.
    static func onceMessage(_ number: UInt64) -> [UInt8] { Array("\(onceText)\(number)".utf8) }

    init(_ payload: some RandomAccessCollection<UInt8>) {
        if payload.count == Self.bulkBytes {
            self = .bulk
        } else if payload.elementsEqual("feed".utf8) {
            self = .feed
        } else if payload.starts(with: "ping".utf8) {
            self = .ping
        } else if payload.elementsEqual(Self.forgedMessage) {
            self = .forged
        } else if payload.starts(with: Self.onceText.utf8),
            let number = UInt64(String(decoding: payload.dropFirst(Self.onceText.utf8.count), as: UTF8.self))
        {
            self = .once(number)
        } else {
            self = .other
        }
    }
}
