import Parley
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Decides about the nodes that want to come in, and asks at the terminal about those that nobody knows.
///
/// One question is shown at a time. Its connection alone waits: others are read and answered meanwhile.
final class Newcomers: Sendable {
    /// How long an answer may take, from the moment at which the node came.
    static let answerTime = Duration.seconds(60)

    private struct State {
        var rule: EntryRule
        var questions = QuestionQueue()
        var connections = 0
        var waiting: [Int: CheckedContinuation<Bool, Never>] = [:]
        /// Whether lines of standard input can still answer.
        var hasInput = true

        func decision(about id: PeerID, unableToAsk obstacle: String?) -> EntryRule.Decision {
            rule.decision(
                about: id,
                unableToAsk: obstacle ?? (hasInput ? nil : "standard input has ended")
            )
        }
    }

    private let state: Mutex<State>
    private let errors = ThrottledErrors()
    private let hasTerminal = isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1
    private let shown: AsyncStream<Void>
    private let show: AsyncStream<Void>.Continuation

    init(_ rule: EntryRule) {
        state = Mutex(State(rule: rule))
        (shown, show) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Whether a person may be asked, so that standard input has to be read.
    var mayAsk: Bool { hasTerminal && state.withLock { $0.rule.allowed == .asking } }

    /// Whether a peer may come in. Waits for an answer if there has to be one; cancelled, it is false.
    func admit(_ peer: ProvenPeer) async -> Bool {
        let obstacle = obstacle
        switch state.withLock({ $0.decision(about: peer.id, unableToAsk: obstacle) }) {
        case .accept: return true
        case .refuse(let reason):
            reportRefusal(of: peer.id, at: peer.remoteAddress, because: reason)
            return false
        case .ask: return await ask(about: peer)
        }
    }

    /// Why the terminal cannot be used to ask; nil when it can be.
    private var obstacle: String? {
        guard hasTerminal else { return "there is no terminal to ask at" }
        // What is typed then is for the process in the foreground.
        guard tcgetpgrp(STDIN_FILENO) == getpgrp() else { return "nobody can be asked in the background" }
        return nil
    }

    private func reportRefusal(of id: PeerID, at address: SocketAddress, because reason: String) {
        errors.report("refused", "refused \(id) at \(address): \(reason); --allow \(id) lets it in")
    }
}

extension Newcomers {
    /// Reports a connection that has ended before it was secured. Refusals are reported already.
    func reportFailure(of peer: any Peer, _ reason: ParleyError) {
        guard peer.id == nil, reason.code != .closed else { return }
        errors.report(
            "failed",
            "\(peer.remoteAddress) did not prove an id: \(reason.message)"
                + DialHint.text(afterComing: reason.code)
        )
    }
}

// MARK: - Questions

extension Newcomers {
    /// A longer line is no answer.
    private static let maxAnswerBytes = 100

    /// Reads standard input while a question is shown, for a command that needs it for nothing else.
    func readAnswers() async {
        // Input that cannot be read has ended: nobody answers any more.
        _ = try? await StandardInput.forEachLine(
            maxBytes: Self.maxAnswerBytes,
            readingAfter: { await self.waitForQuestion() },
            { line in _ = self.take(line) }
        )
        if !Task.isCancelled { endInput() }
    }
}

extension Newcomers {
    private func ask(about peer: ProvenPeer) async -> Bool {
        let connection = state.withLock { state in
            state.connections += 1
            return state.connections
        }
        let start = ContinuousClock.now
        let isAdmitted = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let decision: EntryRule.Decision? = change { state in
                    // Looked at under the lock, which `giveUp` takes too: it comes before this or after it.
                    guard !Task.isCancelled else { return nil }
                    // An answer to another connection of this id may have come in between.
                    let decision = state.decision(about: peer.id, unableToAsk: nil)
                    guard decision == .ask else { return decision }
                    guard state.questions.add(connection, peer.id, peer.remoteAddress) else {
                        return .refuse(because: "too many nodes wait for an answer")
                    }
                    state.waiting[connection] = continuation
                    return .ask
                }
                if case .refuse(let reason) = decision {
                    reportRefusal(of: peer.id, at: peer.remoteAddress, because: reason)
                }
                if decision != .ask { continuation.resume(returning: decision == .accept) }
            }
        } onCancel: {
            giveUp(connection)
        }
        if !isAdmitted, Task.isCancelled, start.duration(to: .now) > Self.answerTime - .seconds(1) {
            errors.report("unanswered", "\(peer.id) is turned away: no answer within \(Self.answerTime)")
        }
        return isAdmitted
    }

    /// The connection has ended, or the time for an answer is over.
    private func giveUp(_ connection: Int) {
        let waiting = change { state in
            state.questions.remove(connection)
            return state.waiting.removeValue(forKey: connection)
        }
        waiting?.resume(returning: false)
    }

    /// Takes a line that was typed, if a question is shown: it is the answer, or it is not understood.
    ///
    /// - Returns: false when no question is shown, so that the line is for somebody else.
    func take(_ line: InputLine) -> Bool {
        let answer = TypedAnswer(line)
        var isQuestion = false
        let waiting = change { state -> [CheckedContinuation<Bool, Never>] in
            isQuestion = state.questions.shown != nil
            guard answer != .unclear, let question = state.questions.takeShown() else { return [] }
            state.rule.remember(question.id, isAllowed: answer == .yes)
            return question.waiting.compactMap { state.waiting.removeValue(forKey: $0) }
        }
        for continuation in waiting { continuation.resume(returning: answer == .yes) }
        if isQuestion, answer == .unclear {
            Console.error("that is neither y nor n, and was not sent to anybody")
        }
        return isQuestion
    }

    /// Standard input has ended: nobody answers any more.
    func endInput() {
        let (questions, waiting) = change { state in
            state.hasInput = false
            defer { state.waiting = [:] }
            return (state.questions.takeAll(), Array(state.waiting.values))
        }
        for question in questions {
            reportRefusal(of: question.id, at: question.remoteAddress, because: "standard input has ended")
        }
        for continuation in waiting { continuation.resume(returning: false) }
    }

    /// Waits until a question is shown, or the task is cancelled.
    func waitForQuestion() async {
        while !Task.isCancelled, state.withLock({ $0.questions.shown == nil }) {
            guard await shown.first(where: { _ in true }) != nil else { return }
        }
    }

    /// Changes the state, and then shows the first question if it is another one than before.
    private func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in
            let before = state.questions.shown?.id
            let result = body(&state)
            let question = state.questions.shown
            guard question?.id != before else { return result }
            // Under the lock, so that the terminal shows the last change.
            if let question {
                discardTyped()
                Console.setQuestion(
                    "\(question.id) at \(question.remoteAddress) wants to come in, and is not known here.",
                    prompt: "Let it in? [y/N] "
                )
                show.yield()
            } else {
                Console.setQuestion(nil)
            }
            return result
        }
    }

    /// What was typed before a question was shown must not answer it.
    private func discardTyped() {
        // In the background the system would stop the process here.
        if obstacle == nil { tcflush(STDIN_FILENO, TCIFLUSH) }
    }
}
