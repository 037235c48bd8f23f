/// A value that most connections never change from what it was made as: it takes a word until then.
struct LazyBox<Value: DefaultInitializable> {
    fileprivate indirect enum Changed {
        case to(Value)
    }

    private var changed: Changed?

    /// Whether it was never changed, or was cleared.
    var isDefault: Bool { changed == nil }

    var value: Value {
        get { if case .to(let value)? = changed { value } else { Value() } }
        set { changed = .to(newValue) }
    }

    mutating func clear() { changed = nil }
}

extension LazyBox: Sendable where Value: Sendable {}
extension LazyBox.Changed: Sendable where Value: Sendable {}

/// What ``LazyBox`` can hold.
protocol DefaultInitializable {
    init()
}
