/// What is left out of a folder: patterns as in a `.gitignore` file. The last one that matches counts.
///
/// A pattern without `/` matches a name at any depth; one with a `/` at its beginning or inside matches a
/// path from the folder on. A `/` at its end matches folders only. `*`, `?` and `[a-z]` match within a name,
/// `**` any number of names. `!` takes back what an earlier pattern leaves out; `\` makes the next character
/// a plain one. A line that begins with `#` is a comment, and blanks at its end do not count.
/// Source: <https://git-scm.com/docs/gitignore>.
struct ExcludeList {
    private let patterns: [ExcludePattern]

    /// - Parameter patterns: bytes, as the names are that they match.
    init(_ patterns: [[UInt8]]) { self.patterns = patterns.map(ExcludePattern.init) }

    /// - Parameter names: of the path from the folder on that was named on the command line.
    func excludes(_ names: [[UInt8]], isFolder: Bool) -> Bool {
        patterns.last { $0.matches(names, isFolder: isFolder) }.map { !$0.takesBack } ?? false
    }
}

/// One pattern of an ``ExcludeList``.
struct ExcludePattern {
    let takesBack: Bool
    private let foldersOnly: Bool
    /// Of each name; empty for `**`.
    private let parts: [[GlobItem]]

    init(_ pattern: [UInt8]) {
        var rest = pattern[...]
        if rest.first == UInt8(ascii: "#") { rest = [] }
        while rest.last == UInt8(ascii: " "), rest.dropLast().last != UInt8(ascii: "\\") { rest.removeLast() }
        takesBack = rest.first == UInt8(ascii: "!")
        if takesBack { rest.removeFirst() }
        foldersOnly = rest.last == slash
        if foldersOnly { rest.removeLast() }
        let isAnchored = rest.contains(slash)
        let names = rest.split(separator: slash)
        let parts = names.map { $0.elementsEqual("**".utf8) ? [] : GlobItem.items(of: $0) }
        self.parts = isAnchored || parts.isEmpty ? parts : [[]] + parts
    }

    func matches(_ names: [[UInt8]], isFolder: Bool) -> Bool {
        // An empty pattern matches nothing.
        guard !parts.isEmpty, isFolder || !foldersOnly else { return false }
        // Which beginnings of the pattern match the names so far: `reached[i]` is its first i parts.
        var reached = [true] + parts.map { _ in false }
        func skipDoubleStars() {
            for (index, part) in parts.enumerated() where part.isEmpty && reached[index] {
                // At the end it stands for at least one name.
                if index + 1 < parts.count { reached[index + 1] = true }
            }
        }
        skipDoubleStars()
        for name in names {
            var next = reached.map { _ in false }
            for (index, part) in parts.enumerated() where reached[index] {
                if part.isEmpty {
                    next[index] = true
                    if index + 1 == parts.count { next[index + 1] = true }
                } else if GlobItem.match(part, name) {
                    next[index + 1] = true
                }
            }
            reached = next
            skipDoubleStars()
        }
        return reached[parts.count]
    }
}

/// One place of a pattern for a name.
enum GlobItem: Equatable {
    case byte(UInt8)
    /// `?`: one character.
    case any
    /// `*`: any number of bytes.
    case star
    /// `[…]`: one character of these, or none of these.
    case set([ClosedRange<UInt8>], isNegated: Bool)

    static func items(of pattern: ArraySlice<UInt8>) -> [GlobItem] {
        var items: [GlobItem] = []
        var rest = pattern
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "*"): items.append(.star)
            case UInt8(ascii: "?"): items.append(.any)
            case UInt8(ascii: "\\"): items.append(.byte(rest.popFirst() ?? byte))
            case UInt8(ascii: "["):
                if let set = takeSet(&rest) { items.append(set) } else { items.append(.byte(byte)) }
            default: items.append(.byte(byte))
            }
        }
        return items
    }

    /// Takes what is behind a `[`, up to its `]`. Nil, and nothing is taken, when there is none.
    private static func takeSet(_ rest: inout ArraySlice<UInt8>) -> GlobItem? {
        var left = rest
        let isNegated = left.first == UInt8(ascii: "!") || left.first == UInt8(ascii: "^")
        if isNegated { left.removeFirst() }
        var ranges: [ClosedRange<UInt8>] = []
        while let first = left.popFirst() {
            if first == UInt8(ascii: "]"), !ranges.isEmpty {
                rest = left
                return .set(ranges, isNegated: isNegated)
            }
            if first == UInt8(ascii: "["), let named = takeClass(&left) {
                ranges += named
                continue
            }
            let low = first == UInt8(ascii: "\\") ? left.popFirst() ?? first : first
            var high = low
            if left.first == UInt8(ascii: "-"), let second = left.dropFirst().first,
                second != UInt8(ascii: "]")
            {
                left.removeFirst(2)
                high = second == UInt8(ascii: "\\") ? left.popFirst() ?? second : second
            }
            // A range that ends before it begins has its first character alone, as in git.
            ranges.append(low...max(low, high))
        }
        return nil
    }

    /// Takes what is behind the `[` of a `[:digit:]`. Nil, and nothing is taken, when it is none.
    private static func takeClass(_ rest: inout ArraySlice<UInt8>) -> [ClosedRange<UInt8>]? {
        guard rest.first == UInt8(ascii: ":") else { return nil }
        let name = rest.dropFirst().prefix { $0 != UInt8(ascii: ":") }
        guard let ranges = classes[String(decoding: name, as: UTF8.self)],
            rest.dropFirst(1 + name.count).starts(with: ":]".utf8)
        else { return nil }
        rest.removeFirst(name.count + 3)
        return ranges
    }

    /// Those of POSIX, in ASCII.
    private static let classes: [String: [ClosedRange<UInt8>]] = [
        "alnum": [0x30...0x39, 0x41...0x5A, 0x61...0x7A],
        "alpha": [0x41...0x5A, 0x61...0x7A],
        "blank": [0x09...0x09, 0x20...0x20],
        "cntrl": [0x00...0x1F, 0x7F...0x7F],
        "digit": [0x30...0x39],
        "graph": [0x21...0x7E],
        "lower": [0x61...0x7A],
        "print": [0x20...0x7E],
        "punct": [0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E],
        "space": [0x09...0x0D, 0x20...0x20],
        "upper": [0x41...0x5A],
        "xdigit": [0x30...0x39, 0x41...0x46, 0x61...0x66],
    ]

    /// Whether a whole name matches. Takes time in proportion to both lengths, whatever the pattern.
    static func match(_ items: [GlobItem], _ name: [UInt8]) -> Bool {
        var (item, byte) = (0, 0)
        // Where to go on when what follows the last star does not match: the star takes one byte more.
        var lastStar: (item: Int, byte: Int)?
        while byte < name.count {
            if item < items.count, items[item] == .star {
                lastStar = (item, byte)
                item += 1
            } else if item < items.count, let length = items[item].matched(in: name, at: byte) {
                byte += length
                item += 1
            } else if let star = lastStar {
                lastStar = (star.item, star.byte + 1)
                (item, byte) = (star.item + 1, star.byte + 1)
            } else {
                return false
            }
        }
        return items[item...].allSatisfy { $0 == .star }
    }

    /// How many bytes match here; nil when none do.
    private func matched(in name: [UInt8], at index: Int) -> Int? {
        let byte = name[index]
        switch self {
        case .byte(let wanted): return byte == wanted ? 1 : nil
        case .any: return Self.characterLength(in: name, at: index)
        case .star: return nil
        case .set(let ranges, let isNegated):
            let isMember = ranges.contains { $0.contains(byte) }
            guard isMember != isNegated else { return nil }
            return isMember ? 1 : Self.characterLength(in: name, at: index)
        }
    }

    /// The bytes of one UTF-8 character; 1 where there is none.
    private static func characterLength(in name: [UInt8], at index: Int) -> Int {
        guard name[index] >= 0xC0 else { return 1 }
        return 1 + name[(index + 1)...].prefix(3).prefix { (0x80..<0xC0).contains($0) }.count
    }
}
