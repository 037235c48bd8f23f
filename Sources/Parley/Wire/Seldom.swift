/// A value that most connections never change from what it was made as: it takes a word until then.
struct Seldom<Value: MadeEmpty>: Sendable {
    private indirect enum Changed: Sendable {
        case to(Value)
    }

    private var changed: Changed?

    /// Whether it was never changed, or was cleared.
    var isUnchanged: Bool { changed == nil }

    var value: Value {
        get { if case .to(let value)? = changed { value } else { Value() } }
        set { changed = .to(newValue) }
    }

    mutating func clear() { changed = nil }
}

/// What ``Seldom`` can hold.
protocol MadeEmpty: Sendable {
    init()
}
