/// Elements in the order in which they were added. Taking the first does not move the others each time: its
/// place stays empty until all or half of the places are.
struct Line<Element> {
    private var places: [Element?] = []
    /// The index of the first element.
    private var head = 0
    private let keptPlaces: Int

    /// - Parameter keptPlaces: an empty line keeps its memory when it has at most so many places.
    init(keeping keptPlaces: Int) { self.keptPlaces = keptPlaces }

    var count: Int { places.count &- head }
    var isEmpty: Bool { head == places.count }
    /// The number of places, including empty ones. For tests.
    var placesHeld: Int { places.count }

    @inline(__always)
    mutating func append(_ element: consuming Element) { places.append(element) }

    @inline(__always)
    mutating func popFirst() -> Element? {
        guard head < places.count else { return nil }
        let first = places[head].take()
        head &+= 1
        if head == places.count {
            places.empty(keeping: keptPlaces)
            head = 0
        } else if head >= Self.fewPlaces, head &* 2 >= places.count {
            places.removeFirst(head)
            head = 0
        }
        return first
    }

    /// With fewer empty places than this, the others are not moved up.
    private static var fewPlaces: Int { 16 }
}

extension Line: Sendable where Element: Sendable {}
