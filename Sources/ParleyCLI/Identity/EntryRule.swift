import Parley

/// Which nodes may come in, by their ids. A value; ``Newcomers`` does what it says.
struct EntryRule {
    /// Whom the command line lets in.
    enum Allowed: Equatable {
        /// `--allow-all`
        case everyone
        /// `--allow` and `--allow-file`: these and no others.
        case listed(Set<PeerID>)
        /// Neither of them: this node's own id, which other tools of the same user have, and whom a person at
        /// the terminal lets in.
        case asking
    }

    enum Decision: Equatable {
        case accept
        case refuse(because: String)
        case ask
    }

    let own: PeerID
    let allowed: Allowed
    /// The answers to questions, for as long as the process runs.
    private var answers: [PeerID: Bool] = [:]

    init(own: PeerID, allowed: Allowed) {
        self.own = own
        self.allowed = allowed
    }

    /// - Parameter obstacle: why nobody can be asked now; nil when somebody can be.
    func decision(about id: PeerID, unableToAsk obstacle: String?) -> Decision {
        switch allowed {
        case .everyone: return .accept
        case .listed(let ids):
            return ids.contains(id) ? .accept : .refuse(because: "it is not among the ids that are allowed")
        case .asking:
            if id == own { return .accept }
            if let answer = answers[id] {
                return answer ? .accept : .refuse(because: "the answer was no")
            }
            return obstacle.map { .refuse(because: $0) } ?? .ask
        }
    }

    /// Remembers what a person has said about an id.
    mutating func remember(_ id: PeerID, isAllowed: Bool) { answers[id] = isAllowed }
}

/// What a line says that was typed while a question was shown.
enum TypedAnswer: Equatable {
    case yes, no
    /// Something else, which must not be taken for either.
    case unclear

    init(_ line: InputLine) {
        guard case .text(let bytes) = line else {
            self = .unclear
            return
        }
        switch String(printable: bytes[...].trimmed).lowercased() {
        case "y", "yes": self = .yes
        case "n", "no", "": self = .no
        default: self = .unclear
        }
    }
}
