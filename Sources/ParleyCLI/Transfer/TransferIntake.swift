import Parley

/// Decides what a receiver does about what arrives. A value; ``TransferReceiver`` does what it says.
struct TransferIntake {
    /// What is to be done.
    enum Action: Equatable {
        case nothing
        /// Something that was asked for does not come.
        case showProblem(String)
        case announce(TransferTotals)
        case makeFolder(RelativePath, Metadata?)
        case makeLink(RelativePath, target: [UInt8], Metadata?)
        case makeFile(RelativePath, Metadata?, byteCount: Int?)
        /// So many bytes of the file are there already.
        case goOn(from: Int)
        case write(ArraySlice<UInt8>)
        case skip(Int)
        case keepFile
        /// The sender cannot go on with the file, and says why.
        case dropFile(String)
        /// The entry is not made.
        case refuse(entry: Int, String)
        /// The file is dropped, and the sender hears why.
        case failFile(entry: Int, String)
        case complete
    }

    private enum State: Equatable {
        case expectingTotals
        case betweenEntries
        /// The sender is to say how much of a large file it does not send.
        case expectingBeginning(byteCount: Int)
        case inFile(received: Int, announced: Int?)
        /// What comes is not wanted any more.
        case inUnwantedFile
        case ended
    }

    /// Who has begun the transfer.
    enum Occasion {
        /// The sender. It waits for the hashes of what is here of large files.
        case offered
        /// The receiver, and it may hear that something cannot be sent. It gives hashes if it may have parts.
        /// It takes nothing but what has one of the names, or lies below it; nil for whatever comes. Of a
        /// part it takes one file, of no more bytes than that.
        case requested(hasParts: Bool, names: Set<[UInt8]>?, part: FilePart? = nil)
    }

    /// The most bytes of all files together; nil for any number.
    private let maxBytes: Int?
    private let occasion: Occasion
    private var state = State.expectingTotals
    private var announcedEntries = 0
    private var receivedBytes = 0
    private var unwantedEntries = 0
    /// As they are shown: the names that were asked for, and have neither come nor a problem.
    private var awaited: Set<String> = []
    /// How many entries have begun.
    private(set) var entries = 0
    /// Of the last entry, for lines about it; nil when its path is none.
    private(set) var path: RelativePath?

    init(maxBytes: Int?, _ occasion: Occasion = .offered) {
        self.maxBytes = maxBytes
        self.occasion = occasion
        if case .requested(_, let names?, _) = occasion { awaited = Set(names.map { String(printable: $0) }) }
    }

    /// Whether the sender waits for hashes of a file of that size.
    func needsHashes(byteCount: Int?) -> Bool {
        if case .requested(hasParts: false, names: _, part: _) = occasion { return false }
        return byteCount.map { $0 >= BlockHashes.leastFileBytes } ?? false
    }

    /// How many things that were asked for do not come.
    private(set) var problems = 0

    /// The names of what was asked for and has not come when all has ended, though nothing was said about it.
    var missing: [String] { awaited.sorted() }

    /// How many entries are stored, if all has ended.
    var storedEntries: Int { entries - unwantedEntries }

    /// Whether one of them has to be named to be meant.
    var hasSeveralEntries: Bool { announcedEntries > 1 }

    /// The last entry, which a receiver answers about.
    var entry: Int { entries - 1 }

    /// - Throws: when the sender is out of step, or everything is refused.
    mutating func take(_ item: TransferRecordDecoder.Item) throws(Refusal) -> Action {
        switch (state, item) {
        case (.expectingTotals, .record(.problem(let reason))):
            guard case .requested = occasion else { throw Refusal("the sender is out of step") }
            problems += 1
            expectNothing(of: reason)
            return .showProblem(reason)
        case (.expectingTotals, .record(.totals(let totals))):
            if let maxBytes, let byteCount = totals.byteCount, byteCount > maxBytes {
                throw tooMany(byteCount, most: maxBytes)
            }
            announcedEntries = totals.entries
            state = .betweenEntries
            return .announce(totals)
        case (.betweenEntries, .record(.entry(let entry))): return try begin(entry)
        case (.betweenEntries, .record(.end)):
            guard entries == announcedEntries else {
                throw Refusal("only \(entries) of the \(announcedEntries) announced entries came")
            }
            state = .ended
            return .complete
        case (.expectingBeginning(let announced), .record(.from(let byteCount))):
            guard byteCount <= announced else { throw Refusal("the sender is out of step") }
            state = .inFile(received: 0, announced: announced)
            return advance(by: byteCount) { .goOn(from: byteCount) }
        case (.inFile, .content(let bytes)):
            return advance(by: bytes.count) { .write(bytes) }
        case (.inFile, .record(.hole(let byteCount))):
            return advance(by: byteCount) { .skip(byteCount) }
        case (.inFile(let received, let announced), .record(.endOfFile)):
            if let announced, received < announced {
                return dropCurrent("only \(received) of \(announced) announced bytes came", isOver: true)
            }
            state = .betweenEntries
            return .keepFile
        case (.inFile, .record(.abandoned(let reason))),
            (.expectingBeginning, .record(.abandoned(let reason))):
            state = .betweenEntries
            unwantedEntries += 1
            return .dropFile(reason)
        case (.inUnwantedFile, .content), (.inUnwantedFile, .record(.hole)),
            (.inUnwantedFile, .record(.from)):
            return .nothing
        case (.inUnwantedFile, .record(.endOfFile)), (.inUnwantedFile, .record(.abandoned)):
            state = .betweenEntries
            return .nothing
        default: throw Refusal("the sender is out of step")
        }
    }

    /// What ``take(_:)`` said about the current entry cannot be done.
    mutating func currentIsUnwanted() {
        unwantedEntries += 1
        switch state {
        case .inFile, .expectingBeginning: state = .inUnwantedFile
        default: break
        }
    }

    private mutating func begin(_ entry: TransferEntry) throws(Refusal) -> Action {
        guard entries < announcedEntries else {
            throw Refusal("more than the \(announcedEntries) announced entries came")
        }
        entries += 1
        // A line about this entry must not name the one before.
        path = nil
        let isFile = if case .file = entry.kind { true } else { false }
        do throws(Refusal) {
            let path = try RelativePath(checking: entry.path)
            self.path = path
            try checkRequested(path)
            if !awaited.isEmpty { awaited.remove(String(printable: path.root)) }
            try checkPart(path, entry.kind)
            switch entry.kind {
            case .folder: return .makeFolder(path, entry.metadata)
            case .link(let target):
                try LinkTarget.check(target, at: path)
                return .makeLink(path, target: target, entry.metadata)
            case .file(let byteCount):
                if let maxBytes, let byteCount, byteCount > maxBytes - receivedBytes {
                    throw Refusal(
                        "\"\(path.shown)\" has \(byteCount.inBytes), and only \(maxBytes - receivedBytes) of "
                            + "\(maxBytes) are left here"
                    )
                }
                if let byteCount, needsHashes(byteCount: byteCount) {
                    state = .expectingBeginning(byteCount: byteCount)
                } else {
                    state = .inFile(received: 0, announced: byteCount)
                }
                return .makeFile(path, entry.metadata, byteCount: byteCount)
            }
        } catch {
            unwantedEntries += 1
            if isFile { state = .inUnwantedFile }
            return .refuse(entry: self.entry, error.reason)
        }
    }

    /// The names are the sender's choice, and this side may have files of any name where it stores.
    private func checkRequested(_ path: RelativePath) throws(Refusal) {
        guard case .requested(_, let names?, _) = occasion, !names.contains(Array(path.root)) else { return }
        throw Refusal("\"\(path.shown)\" was not asked for")
    }

    private func checkPart(_ path: RelativePath, _ kind: TransferEntry.Kind) throws(Refusal) {
        guard case .requested(_, _, .some) = occasion else { return }
        guard case .file(let byteCount) = kind, path.parent.isEmpty else {
            throw Refusal("\"\(path.shown)\" is not the one file that was asked for")
        }
        if let byteCount, let most = mostBytesOfPart, byteCount > most {
            throw Refusal("\"\(path.shown)\" has \(byteCount) bytes, more than the \(most) of --range")
        }
    }

    /// The most bytes of the one file that is asked for; nil for any number.
    private var mostBytesOfPart: Int? {
        guard case .requested(_, _, let part?) = occasion else { return nil }
        return part.range?.mostBytes
    }

    /// A server says of something that it does not come, in a sentence: `cannot open d/photo.jpg: ...`, or
    /// `the name "../x" ...`. Where one thing was asked for, it is about that, or what lies in it.
    private mutating func expectNothing(of sentence: String) {
        if case .requested(_, let names?, _) = occasion, names.count == 1 { awaited = [] }
        guard !awaited.isEmpty else { return }
        let text = Array(sentence.utf8)
        // Few, whatever a server says: the path is at the front.
        let marks = text.indices.filter { " /\":".utf8.contains(text[$0]) }.prefix(32)
        let ends = marks.filter { text[$0] == UInt8(ascii: ":") || text[$0] == UInt8(ascii: "\"") }
        for start in [0] + marks.map({ $0 + 1 }) {
            for end in ends where end > start {
                awaited.remove(String(decoding: text[start..<end], as: UTF8.self))
            }
        }
    }

    /// Nothing of it is taken here, which is not the sender's fault.
    private func tooMany(_ byteCount: Int, most: Int) -> Refusal {
        let bound =
            switch occasion {
            case .offered: "at most \(most) are taken here"
            case .requested: "--max-bytes takes at most \(most)"
            }
        return Refusal("\(byteCount) bytes are too many: \(bound)", scope: .transfer)
    }

    /// Counts bytes of the current file.
    private mutating func advance(by count: Int, _ action: () -> Action) -> Action {
        guard case .inFile(let received, let announced) = state else { return .nothing }
        let (sum, isTooMany) = received.addingReportingOverflow(count)
        if isTooMany || sum > announced ?? .max {
            return dropCurrent("more than the \(announced ?? .max) announced bytes came", isOver: false)
        }
        if let mostBytesOfPart, sum > mostBytesOfPart {
            return dropCurrent("more than the \(mostBytesOfPart) bytes of --range came", isOver: false)
        }
        let (all, areTooMany) = receivedBytes.addingReportingOverflow(count)
        if areTooMany || all > maxBytes ?? .max {
            return dropCurrent("at most \(maxBytes ?? .max) bytes are taken here", isOver: false)
        }
        receivedBytes = all
        state = .inFile(received: sum, announced: announced)
        return action()
    }

    private mutating func dropCurrent(_ reason: String, isOver: Bool) -> Action {
        unwantedEntries += 1
        state = isOver ? .betweenEntries : .inUnwantedFile
        return .failFile(entry: entry, reason)
    }
}
