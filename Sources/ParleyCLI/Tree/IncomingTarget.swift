import Parley

/// Where a transfer's entries go.
protocol IncomingTarget: AnyObject {
    func makeFolder(_ path: RelativePath, _ metadata: Metadata?) throws(Refusal)
    func makeLink(_ path: RelativePath, to target: [UInt8], _ metadata: Metadata?) throws(Refusal)
    /// Begins a file. One file is open at a time.
    ///
    /// - Parameter byteCount: what it will have; nil when that is not known.
    func makeFile(
        _ path: RelativePath,
        _ metadata: Metadata?,
        byteCount: Int?
    ) throws(Refusal) -> any IncomingContent
    /// Completes everything. When this returns, what was received outlasts a crash of the machine.
    ///
    /// - Parameter hasAll: whether every entry is stored. Otherwise another transfer may bring the others.
    func finish(hasAll: Bool) throws(Refusal)
    /// The transfer has broken off, and no file is open. Whole entries stay as they are.
    func leave()
}

extension IncomingTarget {
    func leave() {}
}

/// A file while it arrives.
protocol IncomingContent: AnyObject {
    /// Of what is there already, from the first block on: see ``BlockHashes``. It may read for minutes, lets
    /// other tasks run meanwhile, and stops when its own is cancelled.
    func hashes() async throws -> [UInt64]
    /// So many bytes of what is there already are right; what is behind them is not.
    func goOn(from byteCount: Int) throws(Refusal)
    func write(_ bytes: ArraySlice<UInt8>) async throws
    /// Appends zero bytes.
    func skip(_ byteCount: Int) async throws
    /// Gives the complete file its name.
    func keep() throws(Refusal)
    /// Removes what has arrived, unless it was kept. Idempotent.
    func discard()
    /// The transfer has broken off: keeps what has arrived, if it can go on from there later.
    func leave()
}

extension IncomingContent {
    func hashes() -> [UInt64] { [] }

    func goOn(from byteCount: Int) throws(Refusal) {
        if byteCount > 0 { throw Refusal("the sender leaves out what is not here") }
    }

    func leave() { discard() }
}

/// Why a receiver does not want something; told to the sender.
struct Refusal: Error, Equatable {
    /// What else cannot be stored.
    enum Scope: Equatable {
        /// The entry alone.
        case entry
        /// All that follows, as on a disk that fails.
        case transfer
        /// The same, until there is room. What has been written is right.
        case untilThereIsRoom
    }

    let reason: String
    let scope: Scope

    init(_ reason: String, scope: Scope = .entry) {
        self.reason = reason
        self.scope = scope
    }
}
