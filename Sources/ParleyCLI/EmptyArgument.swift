import ArgumentParser

/// An argument without characters is what a script makes of a variable that is not set. It must not mean
/// something that somebody else might want.
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
