import Foundation

/// The result of a run. Each check prints a line; a check that fails makes the run fail.
public struct Verdict: Sendable {
    /// Whether no check has failed.
    public private(set) var isGood = true

    /// A verdict without checks.
    public init() {}

    /// Notes and prints the result of a check.
    public mutating func check(_ isGood: Bool, _ what: String) {
        say("\(isGood ? "ok" : "FAILED"): \(what)")
        if !isGood { self.isGood = false }
    }

    /// Prints the result and ends the process with a matching exit status.
    public func exit(_ name: String) -> Never {
        say("\(name): \(isGood ? "passed" : "FAILED")")
        Foundation.exit(isGood ? 0 : 1)
    }
}

/// The command line's `--name value` and `--flag` arguments.
public struct Arguments: Sendable {
    private let words: [String]

    /// The arguments of this process.
    public init() { words = Array(CommandLine.arguments.dropFirst()) }

    /// The first word: the role of this process.
    public var role: String? { words.first.flatMap { $0.hasPrefix("--") ? nil : $0 } }

    /// The value of `--name`; nil when it is missing or empty.
    public func value(_ name: String) -> String? {
        guard let index = words.firstIndex(of: "--" + name), index + 1 < words.count else { return nil }
        return words[index + 1].isEmpty ? nil : words[index + 1]
    }

    /// The value of `--name` as a number.
    public func number<Number: LosslessStringConvertible>(_ name: String, _ fallback: Number) -> Number {
        guard let value = value(name) else { return fallback }
        guard let number = Number(value) else {
            say("--\(name) \(value) is not a number")
            exit(2)
        }
        return number
    }
}
