extension Array {
    /// Removes all elements. Keeps the memory when it has room for at most `limit` elements. For buffers that
    /// mostly hold one element: removing one is much cheaper than replacing a range.
    @inline(__always)
    mutating func empty(keeping limit: Int) {
        if count == 1, capacity <= limit {
            removeLast()
        } else if !isEmpty {
            removeAll(keepingCapacity: capacity <= limit)
        }
    }
}

extension Array {
    /// A copy with memory of its own, just large enough. A buffer that is filled again must not share its
    /// memory with what is kept.
    var duplicate: [Element] { withUnsafeBufferPointer { Array($0) } }
}
