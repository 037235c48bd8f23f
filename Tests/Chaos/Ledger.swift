import Foundation
import Gauges
import Parley

/// What the applications have seen: which messages were delivered, and which were acknowledged to their
/// senders.
///
/// Every entry is checked when it is made. A ledger with a file first writes each entry to the file, where it
/// survives a SIGKILL.
final class Ledger: Sendable {
    enum Entry: UInt8 {
        /// The receiver has checked the message, and acknowledges it next.
        case delivered = 1
        /// The sender has the message's acknowledgement.
        case acknowledged
        /// The receiver has checked the whole stream, and acknowledges it next.
        case streamWhole
        case streamAcknowledged
    }

    /// How a stream ended for its reader.
    enum Outcome { case whole, broken, abandoned }

    struct Totals: Sendable {
        var messages = 0
        var acknowledged = 0
        var bytes = 0
        var streamsOpened = 0
        var streamsWhole = 0
        var streamsBroken = 0
        var streamsAbandoned = 0
        var requests = 0
        var requestsAnswered = 0
        var requestsFailed = 0
        var connections = 0
        /// Corruptions that the application or the wire form noticed.
        var corruptionsNoticed = 0
        var reasons: [ParleyError.Code: Int] = [:]
        var failures: [String] = []
    }

    fileprivate struct State {
        /// The last message number of each half of a connection.
        var delivered: [UInt64: UInt64] = [:]
        var acknowledged: [UInt64: UInt64] = [:]
        var streams: [UInt64: Set<UInt64>] = [:]
        var streamsAcknowledged: [UInt64: Set<UInt64>] = [:]
        var totals = Totals()
    }

    private let state = Lock(State())
    private let file: Int32?
    private static let entryBytes = 25

    /// - Parameter path: the file that outlives the process; nil keeps everything in memory.
    init(path: String? = nil) {
        file = path.map { open($0, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600) }
    }

    deinit { if let file { close(file) } }

    var totals: Totals { state.withLock { $0.totals } }

    /// Notes a failure.
    func fail(_ what: String) {
        state.withLock { $0.totals.failures.append(what) }
        // A child process may be killed before it can report at its end.
        if file != nil { say("failed: \(what)") }
    }

    func count(_ change: (inout Totals) -> Void) { state.withLock { change(&$0.totals) } }

    func enter(_ entry: Entry, _ half: UInt64, _ number: UInt64, bytes: Int = 0) {
        if let file {
            var record: [UInt8] = [entry.rawValue]
            for field in [half, number, UInt64(bytes)] {
                record.append(contentsOf: withUnsafeBytes(of: field.bigEndian, Array.init))
            }
            if write(file, record, record.count) != record.count { fail("the ledger cannot be written") }
        }
        let failure = state.withLock { $0.enter(entry, half, number, bytes: bytes) }
        if let failure { fail(failure) }
    }

    func streamEnded(_ outcome: Outcome) {
        count { totals in
            switch outcome {
            case .whole: totals.streamsWhole += 1
            case .broken: totals.streamsBroken += 1
            case .abandoned: totals.streamsAbandoned += 1
            }
        }
    }

    /// Enters the file of another process's ledger. An incomplete last entry is ignored.
    func replay(_ path: String) {
        let bytes = (FileManager.default.contents(atPath: path)).map([UInt8].init) ?? []
        for start in stride(from: 0, through: bytes.count - Self.entryBytes, by: Self.entryBytes) {
            let fields = (0..<3).map { field in
                bytes[(start + 1 + field * 8)..<(start + 9 + field * 8)].reduce(UInt64(0)) {
                    $0 << 8 | UInt64($1)
                }
            }
            guard let entry = Entry(rawValue: bytes[start]) else { return fail("\(path) is damaged") }
            if entry == .streamWhole { streamEnded(.whole) }
            enter(entry, fields[0], fields[1], bytes: Int(fields[2]))
        }
    }

    /// Checks that everything that was acknowledged to a sender was delivered.
    func compareEnds() {
        let failures: [String] = state.withLock { state in
            let messages = state.acknowledged.filter { $0.value > state.delivered[$0.key] ?? 0 }
            let streams = state.streamsAcknowledged.filter {
                !$0.value.isSubset(of: state.streams[$0.key] ?? [])
            }
            return messages.map {
                "message \($0.value) of \(name($0.key)) was acknowledged and never delivered"
            }
                + streams.map { "a stream of \(name($0.key)) was acknowledged and not whole" }
        }
        for failure in failures { fail(failure) }
    }
}

extension Ledger.State {
    /// - Returns: what is wrong with the entry; nil when it is right.
    fileprivate mutating func enter(_ entry: Ledger.Entry, _ half: UInt64, _ number: UInt64, bytes: Int)
        -> String?
    {
        totals.bytes += bytes
        switch entry {
        case .delivered:
            totals.messages += 1
            let last = delivered.updateValue(number, forKey: half) ?? 0
            if number != last + 1 { return "\(name(half)): message \(number) was delivered after \(last)" }
        case .acknowledged:
            totals.acknowledged += 1
            let last = acknowledged.updateValue(number, forKey: half) ?? 0
            if number != last + 1 {
                return "\(name(half)): message \(number) was acknowledged after \(last)"
            }
        case .streamWhole:
            guard streams[half, default: []].insert(number).inserted else {
                return "\(name(half)): stream \(number) was delivered twice"
            }
        case .streamAcknowledged:
            guard streamsAcknowledged[half, default: []].insert(number).inserted else {
                return "\(name(half)): stream \(number) was acknowledged twice"
            }
        }
        return nil
    }
}

private func name(_ half: UInt64) -> String { "half " + String(half, radix: 16) }
