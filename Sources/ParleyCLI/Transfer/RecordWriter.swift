import Parley

/// Writes a transfer's records to a stream. Small ones go out together.
final class RecordWriter {
    private static let gatheredBytes = 64 * 1024

    let stream: any StreamWriter
    private let peer: any Peer
    private let stallTimeout: Duration
    private var gathered: [UInt8] = []

    /// - Parameter stallTimeout: how long a write may wait for room.
    init(_ stream: any StreamWriter, peer: any Peer, stallTimeout: Duration) {
        self.stream = stream
        self.peer = peer
        self.stallTimeout = stallTimeout
    }

    func write(_ bytes: [UInt8]) async throws {
        gathered += bytes
        if gathered.count >= Self.gatheredBytes { try await flush() }
    }

    func write(_ record: TransferRecord) async throws { try await write(record.encoded) }

    func write(_ piece: SourcePiece) async throws {
        switch piece {
        case .hole(let byteCount): try await write(.hole(byteCount: byteCount))
        case .bytes(let bytes):
            gathered += TransferRecord.data(byteCount: bytes.count).encoded
            guard bytes.count >= Self.gatheredBytes else {
                try await write(bytes)
                // Nothing came for a while: the receiver is to know that this side is there.
                if bytes.isEmpty { try await flush() }
                return
            }
            try await flush()
            try await writeOut(bytes)
        }
    }

    func flush() async throws {
        guard !gathered.isEmpty else { return }
        let bytes = gathered
        gathered.removeAll(keepingCapacity: true)
        try await writeOut(bytes)
    }

    private func writeOut(_ bytes: [UInt8]) async throws {
        peer.setWriteDeadline(.now + stallTimeout)
        try await stream.write(bytes)
    }
}
