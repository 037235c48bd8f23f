/// Splits the sender's stream into records and pieces of files. It keeps no content.
struct TransferRecordDecoder {
    /// What has arrived.
    enum Item: Equatable {
        case record(TransferRecord)
        /// A piece of a data record, of any length.
        case content(ArraySlice<UInt8>)
    }

    /// The beginning of a record that has not arrived whole.
    private var kept: [UInt8] = []
    private var contentLeft = 0

    /// Calls `body` with everything that `bytes` completes.
    mutating func feed(_ bytes: ArraySlice<UInt8>, _ body: (Item) async throws -> Void) async throws {
        var rest = bytes
        while !rest.isEmpty {
            if contentLeft > 0 {
                let piece = rest.prefix(contentLeft)
                contentLeft -= piece.count
                rest = rest.dropFirst(piece.count)
                try await body(.content(piece))
            } else if let record = try takeRecord(&rest) {
                if case .data(let byteCount) = record {
                    contentLeft = byteCount
                } else {
                    try await body(.record(record))
                }
            }
        }
    }

    /// Takes a record's bytes; nil when more are needed, and then all are taken.
    private mutating func takeRecord(_ rest: inout ArraySlice<UInt8>) throws -> TransferRecord? {
        var needed = TransferRecord.headBytes
        keep(needed, &rest)
        guard kept.count >= needed else { return nil }
        needed += try TransferRecord.bodyLength(kept[...]) ?? 0
        keep(needed, &rest)
        guard kept.count >= needed else { return nil }
        defer { kept.removeAll(keepingCapacity: true) }
        return try TransferRecord(decoding: kept[...])
    }

    private mutating func keep(_ count: Int, _ rest: inout ArraySlice<UInt8>) {
        let taken = rest.prefix(max(0, count - kept.count))
        kept += taken
        rest = rest.dropFirst(taken.count)
    }
}
