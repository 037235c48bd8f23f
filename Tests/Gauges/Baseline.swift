import Foundation

/// What a figure is when nothing is wrong: measured in several windows before and several behind what is
/// judged by it.
///
/// One window is luck: a machine that lends its cores to others too has quiet seconds and restless ones. The
/// median of several is not moved by one of either kind; and of the two medians the larger counts, since a
/// machine that has become slower meanwhile was slower for what is judged as well.
public struct Baseline: Sendable {
    /// It is never less than this.
    public let floor: Double
    /// What the windows showed.
    public var before: [Double] = []
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public var after: [Double] = []

    /// No window yet.
    public init(floor: Double) { self.floor = floor }

    /// The larger of the medians, or the floor.
    public var value: Double { max(floor, Self.median(before), Self.median(after)) }

    /// `quiet p99: 98 120 1500 us before, 110 90 105 us after, not below 1000 us: 1000 us`
    public func summary(_ name: String) -> String {
        func list(_ values: [Double]) -> String {
            values.map { String(format: "%.0f", $0) }.joined(separator: " ")
        }
        return "\(name): \(list(before)) us before, \(list(after)) us after, not below \(list([floor])) us: "
            + "\(list([value])) us"
    }

    /// The middle value, of an even number the larger one of the middle; 0 of none.
    private static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }
}
