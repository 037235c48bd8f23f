/// What a good peer asks, and what the node does about it; the same for the nodes in Swift and in C.
enum Request: Equatable {
    /// The message goes back as it is.
    case ping
    /// The message goes back in ``pieces``.
    case bulk
    /// ``feedBytes`` after ``feedBytes`` is sent, for as long as the connection lasts.
    case feed
    /// Nothing is answered.
    case other

    static let bulkBytes = 1 << 20
    /// A bulk message comes back in as many messages: more than the first of them needs the node's budget for
    /// sending.
    static let pieces = 16
    static let pieceBytes = bulkBytes / pieces
    static let feedBytes = 64 << 10

    init(_ payload: some RandomAccessCollection<UInt8>) {
        if payload.count == Self.bulkBytes {
            self = .bulk
        } else if payload.elementsEqual("feed".utf8) {
            self = .feed
        } else {
            self = payload.starts(with: "ping".utf8) ? .ping : .other
        }
    }
}
