import Foundation

/// What a run has found: every check prints a line, and one that fails makes the run fail.
public struct Verdict: Sendable {
    /// Whether nothing has failed.
    public private(set) var isGood = true

    /// Nothing has failed yet.
    public init() {}

    /// Prints whether something is as it has to be.
    public mutating func check(_ isGood: Bool, _ what: String) {
        say("\(isGood ? "ok" : "FAILED"): \(what)")
        if !isGood { self.isGood = false }
    }

    /// Ends the process, with a last line that says how it went.
    public func exit(_ name: String) -> Never {
        say("\(name): \(isGood ? "passed" : "FAILED")")
        Foundation.exit(isGood ? 0 : 1)
    }
}

/// `--name value` and `--flag`, as the programs of `make` pass them.
public struct Arguments: Sendable {
    private let words: [String]

    /// Those of this process.
    public init() { words = Array(CommandLine.arguments.dropFirst()) }

    /// The first word: which role the process plays.
    public var role: String? { words.first.flatMap { $0.hasPrefix("--") ? nil : $0 } }

    /// What stands behind `--name`; nil when it is missing or empty.
    public func value(_ name: String) -> String? {
        guard let index = words.firstIndex(of: "--" + name), index + 1 < words.count else { return nil }
        return words[index + 1].isEmpty ? nil : words[index + 1]
    }

    /// What stands behind `--name`, as a number.
    public func number<Number: LosslessStringConvertible>(_ name: String, _ fallback: Number) -> Number {
        guard let value = value(name) else { return fallback }
        guard let number = Number(value) else {
            say("--\(name) \(value) is not a number")
            exit(2)
        }
        return number
    }
}
