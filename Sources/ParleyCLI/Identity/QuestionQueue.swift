import Parley

/// The ids that a person is to be asked about, one after the other. A value; ``Newcomers`` shows the first.
struct QuestionQueue {
    /// One id, and the connections that wait for the answer, by their numbers.
    struct Question: Equatable {
        let id: PeerID
        /// Where the first of the connections comes from.
        let remoteAddress: SocketAddress
        fileprivate(set) var waiting: [Int]
    }

    /// So many ids may wait. Strangers can have any number.
    static let maxQuestions = 16

    private var questions: [Question] = []

    /// The question to show; nil when there is none.
    var shown: Question? { questions.first }

    /// Adds a connection that waits for the answer about its id.
    ///
    /// - Returns: false when too many ids wait already.
    mutating func add(_ connection: Int, _ id: PeerID, _ remoteAddress: SocketAddress) -> Bool {
        if let index = questions.firstIndex(where: { $0.id == id }) {
            questions[index].waiting.append(connection)
            return true
        }
        guard questions.count < Self.maxQuestions else { return false }
        questions.append(Question(id: id, remoteAddress: remoteAddress, waiting: [connection]))
        return true
    }

    /// Removes a connection that waits no longer, and its question when no other waits for that answer.
    mutating func remove(_ connection: Int) {
        for index in questions.indices { questions[index].waiting.removeAll { $0 == connection } }
        questions.removeAll { $0.waiting.isEmpty }
    }

    /// Removes the question that is shown, because it is answered.
    mutating func takeShown() -> Question? { questions.isEmpty ? nil : questions.removeFirst() }

    /// Removes all questions, because nobody answers any more.
    mutating func takeAll() -> [Question] {
        defer { questions = [] }
        return questions
    }
}
