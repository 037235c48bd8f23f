import ArgumentParser

/// An empty argument is mostly a variable that is not set in a script. As a path it would stand for the
/// current folder, or for everything that a server has, so it is refused.
enum EmptyArgument {
    /// - Parameters:
    ///   - arguments: those that are given; nil for an option that is not.
    ///   - name: what the error calls them.
    ///   - hint: what follows in the error.
    /// - Throws: a usage error when one of them is empty.
    static func refuse(_ arguments: [String?], _ name: String, _ hint: String = "") throws {
        if arguments.contains("") { throw ValidationError("\(name) is empty\(hint)") }
    }
}
