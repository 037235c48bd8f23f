extension Array {
    /// Removes all elements, and keeps the memory if that is at most `limit` elements. For buffers that are
    /// filled and emptied again and again, mostly with one element: removing that is much cheaper than
    /// replacing a range.
    @inline(__always)
    mutating func empty(keeping limit: Int) {
        if count == 1, capacity <= limit {
            removeLast()
        } else if !isEmpty {
            removeAll(keepingCapacity: capacity <= limit)
        }
    }
}
