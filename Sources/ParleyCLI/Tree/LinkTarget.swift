import Parley

/// Where a symbolic link leads, as it is kept in the link.
enum LinkTarget {
    /// The longest that Linux keeps.
    static let maxBytes = 4_095

    /// Makes sure that a link does not lead out of the folder that is received into.
    ///
    /// Steps up may only be at the front. Behind a name they would begin at wherever that name leads, which
    /// may be a link as well: with `d` leading to `.`, `d/..` is outside though it looks harmless.
    ///
    /// - Parameter path: where the link lies.
    /// - Throws: what is wrong with it.
    static func check(_ target: [UInt8], at path: RelativePath) throws(Refusal) {
        func refusal(_ why: String) -> Refusal {
            Refusal("the link \"\(path.shown)\" leads to \"\(String(printable: target.prefix(64)))\", \(why)")
        }
        guard !target.isEmpty, target.count <= maxBytes, !target.contains(0) else {
            throw Refusal("the link \"\(path.shown)\" leads nowhere")
        }
        guard target.first != slash else { throw refusal("which is outside") }
        let steps = target.split(separator: slash).filter { !$0.elementsEqual(".".utf8) }
        let up = steps.prefix { $0.elementsEqual("..".utf8) }.count
        guard up < path.names.count else { throw refusal("which is outside") }
        guard !steps.dropFirst(up).contains(where: { $0.elementsEqual("..".utf8) }) else {
            throw refusal("which may be outside: \"..\" is understood at the front only")
        }
    }
}
