import Parley

/// Writes a transfer's records to a stream. Small ones go out together.
final class RecordWriter {
    private static let gatheredBytes = 64 * 1024

    let stream: any StreamWriter
    private var gathered: [UInt8] = []

    /// - Parameter stream: its transport has a limit for writes that wait for room.
    init(_ stream: any StreamWriter) { self.stream = stream }

    func write(_ bytes: [UInt8]) async throws {
        gathered += bytes
        if gathered.count >= Self.gatheredBytes { try await flush() }
    }

    func write(_ record: TransferRecord) async throws { try await write(record.encoded) }

    func write(_ piece: SourcePiece) async throws {
        switch piece {
        case .hole(let byteCount): try await write(.hole(byteCount: byteCount))
        case .data(let record):
            guard record.count >= Self.gatheredBytes else {
                try await write(record)
                // Nothing came for a while: the receiver is to know that this side is there.
                if piece.byteCount == 0 { try await flush() }
                return
            }
            try await flush()
            try await stream.write(record)
        }
    }

    /// Shows that this side is there: data of no bytes, which a receiver passes over wherever it comes.
    func breakSilence() async throws {
        try await write(.data(byteCount: 0))
        try await flush()
    }

    func flush() async throws {
        guard !gathered.isEmpty else { return }
        let bytes = gathered
        gathered.removeAll(keepingCapacity: true)
        try await stream.write(bytes)
    }
}
