/// A value that is boxed on the first write: until then it is the default value and takes one word.
struct LazyBox<Value: DefaultInitializable> {
    fileprivate indirect enum Box {
        case holding(Value)
    }

    private var box: Box?

    /// Whether the value was never written, or was cleared.
    var isDefault: Bool { box == nil }

    var value: Value {
        get { if case .holding(let value)? = box { value } else { Value() } }
        set { box = .holding(newValue) }
    }

    mutating func clear() { box = nil }
}

extension LazyBox: Sendable where Value: Sendable {}
extension LazyBox.Box: Sendable where Value: Sendable {}

/// A type with a default value, for ``LazyBox``.
protocol DefaultInitializable {
    init()
}
