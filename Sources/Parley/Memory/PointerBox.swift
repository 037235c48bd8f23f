/// A value on the heap that is accessed by pointer, for state that one thread uses several times for each
/// message.
///
/// A class would check every access to its fields for overlaps at run time. The box's maker calls
/// ``deallocate()``.
struct PointerBox<Value>: @unchecked Sendable, Equatable {
    private let pointer: UnsafeMutablePointer<Value>

    init(_ value: Value) {
        pointer = .allocate(capacity: 1)
        pointer.initialize(to: value)
    }

    /// The box whose ``opaque`` this is.
    @inline(__always)
    init(opaque: UnsafeMutableRawPointer) { pointer = opaque.assumingMemoryBound(to: Value.self) }

    /// The untyped pointer, which ``init(opaque:)`` makes the box of again.
    var opaque: UnsafeMutableRawPointer { UnsafeMutableRawPointer(pointer) }

    var value: Value {
        @inline(__always) unsafeAddress { UnsafePointer(pointer) }
        @inline(__always) nonmutating unsafeMutableAddress { pointer }
    }

    func deallocate() {
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }
}
