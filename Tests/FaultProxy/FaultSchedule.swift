import Foundation

/// The schedule of one direction of one connection: the faults at their bytes, and the sizes of the pieces.
///
/// A pure value. The faults depend only on the byte positions, not on time.
struct FaultSchedule {
    private let plan: FaultPlan
    /// The kinds of fault and their mean distances, in a fixed order.
    private let kinds: [(kind: Fault.Kind, meanBytes: Int)]
    private var faultRandom: SeededGenerator
    private var pieceRandom: SeededGenerator
    private var chosen: [FaultPlan.Chosen]
    private var random: (offset: Int, fault: Fault)?

    init(_ plan: FaultPlan, connection: Int, direction: Direction) {
        self.plan = plan
        kinds = Fault.Kind.allCases.compactMap { kind in plan.meanBytes[kind].map { (kind, max(1, $0)) } }
        faultRandom = SeededGenerator(seed: plan.seed, connection, direction.rawValue, 0)
        pieceRandom = SeededGenerator(seed: plan.seed, connection, direction.rawValue, 1)
        chosen = plan.chosen
            .filter { $0.connection == connection && $0.direction == direction }
            .sorted { $0.offset > $1.offset }
        advance(from: 0)
    }

    /// The next fault, and the byte that it comes before.
    var next: (offset: Int, fault: Fault)? {
        guard let first = chosen.last else { return random }
        if let random, random.offset < first.offset { return random }
        return (first.offset, first.fault)
    }

    /// Removes the fault ``next``.
    mutating func removeNext() {
        guard let random else {
            _ = chosen.popLast()
            return
        }
        if let first = chosen.last, first.offset <= random.offset {
            chosen.removeLast()
        } else {
            advance(from: random.offset)
        }
    }

    /// The size of the next piece.
    mutating func pieceBytes() -> Int {
        switch plan.pieces {
        case .whole: return .max
        case .singleBytes: return 1
        case .random:
            // Up to 2^17 bytes, uniform in the logarithm; one piece in eight has a few bytes.
            let bits =
                pieceRandom.oneIn(8)
                ? Int.random(in: 0...3, using: &pieceRandom)
                : Int.random(in: 10...17, using: &pieceRandom)
            return max(1, Int.random(in: 0..<(1 << bits), using: &pieceRandom))
        }
    }

    private mutating func advance(from offset: Int) {
        guard !kinds.isEmpty else { return random = nil }
        let rate = kinds.reduce(0) { $0 + 1 / Double($1.meanBytes) }
        // The nearest of several independent faults: its distance follows from the sum of the rates, and its
        // kind is chosen in the ratio of the rates.
        let distance = -log(1 - Double.random(in: 0..<1, using: &faultRandom)) / rate
        var choice = Double.random(in: 0..<rate, using: &faultRandom)
        var kind = kinds[kinds.count - 1].kind
        for each in kinds {
            choice -= 1 / Double(each.meanBytes)
            guard choice >= 0 else {
                kind = each.kind
                break
            }
        }
        random = (offset + max(1, Int(min(distance, 1e15))), fault(of: kind))
    }

    private mutating func fault(of kind: Fault.Kind) -> Fault {
        switch kind {
        case .split: return .split
        case .merge:
            return .merge(
                bytes: faultRandom.size(upTo: 65_536),
                within: .milliseconds(Int.random(in: 1...20, using: &faultRandom))
            )
        case .delay: return .delay(.milliseconds(Int.random(in: 1...30, using: &faultRandom)))
        case .stall:
            let share = Double.random(in: 0.1...1, using: &faultRandom)
            return .stall(plan.longestStall * share)
        case .corrupt: return .corrupt(mask: UInt8.random(in: 1...255, using: &faultRandom))
        case .cut: return .cut
        case .reset: return .reset
        case .vanish: return .vanish
        }
    }
}
