import Parley

/// What the node under attack is, and its good peers with it.
enum NodeKind: Sendable, Equatable {
    case plain
    /// - allowsEveryone: nobody is refused for an identity.
    case secured(allowsEveryone: Bool)
    case multiplexed(isSecured: Bool)

    var isSecured: Bool {
        switch self {
        case .plain: false
        case .secured: true
        case .multiplexed(let isSecured): isSecured
        }
    }

    var isMultiplexed: Bool { if case .multiplexed = self { true } else { false } }

    /// Whether it refuses an identity of the attacker's.
    var refusesSome: Bool { self == .secured(allowsEveryone: false) }

    /// The behaviours that attack it.
    var aim: Campaign.Behaviour.Aim {
        switch self {
        case .plain: .plain
        case .secured: .secured
        case .multiplexed: .multiplexed
        }
    }

    var wireForm: WireForm { isMultiplexed ? .multiplexed : .framed }

    var name: String {
        switch self {
        case .plain: "hostile"
        case .secured: "hostile secured"
        case .multiplexed(let isSecured): "hostile multiplexed\(isSecured ? " and secured" : "")"
        }
    }
}
