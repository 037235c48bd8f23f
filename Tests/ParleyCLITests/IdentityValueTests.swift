import Parley
import ParleyNoise
import Testing

@testable import ParleyCLI

/// The values that decide about identities, without files, terminals and connections.
@Suite("Identities, as values")
struct IdentityValueTests {
    private static let (own, friend, stranger) = (Identity().id, Identity().id, Identity().id)

    // MARK: Where the identity lies

    @Test(
        "The file lies where the option or the environment says",
        arguments: [
            (nil, "/xdg", "/home/me", "/xdg/parley/identity", ["/xdg", "/xdg/parley"]),
            (
                nil, nil, "/home/me", "/home/me/.config/parley/identity",
                ["/home/me/.config", "/home/me/.config/parley"]
            ),
            // Empty and relative values count as not set.
            (
                nil, "", "/home/me", "/home/me/.config/parley/identity",
                ["/home/me/.config", "/home/me/.config/parley"]
            ),
            (
                nil, "config", "/home/me", "/home/me/.config/parley/identity",
                ["/home/me/.config", "/home/me/.config/parley"]
            ),
            ("key", "/xdg", "/home/me", "key", []),
            ("key", nil, nil, "key", []),
        ] as [(String?, String?, String?, String, [String])]
    )
    func place(option: String?, xdg: String?, home: String?, path: String, directories: [String]) throws {
        let environment = ["XDG_CONFIG_HOME": xdg, "HOME": home].compactMapValues { $0 }
        let file = try IdentityFile(option: option) { environment[$0] }
        #expect(file.path == path)
        #expect(file.directories == directories)
    }

    @Test(
        "Without an option and a directory there is none, and the error names both",
        arguments: [[:], ["HOME": ""], ["HOME": "relative"], ["XDG_CONFIG_HOME": "relative"]]
    )
    func noPlace(environment: [String: String]) {
        let error = #expect(throws: Failure.self) {
            try IdentityFile(option: nil) { environment[$0] }
        }
        for word in ["HOME", "XDG_CONFIG_HOME"] { #expect(error?.sentence.contains(word) == true) }
    }

    // MARK: The list of allowed ids

    @Test("A list has one id in a line; comments, spaces and empty lines mean nothing")
    func list() throws {
        let (one, other) = (Self.friend, Self.stranger)
        let content = "# friends\n\n  \(one)\t# the first\r\n\(other.cid)\n\(one)\n   #\(Self.own)\n#"
        #expect(try AllowFile.ids(in: Array(content.utf8), path: "list") == [one, other])
        #expect(try AllowFile.ids(in: Array("\(one)".utf8), path: "list") == [one])
        for nothing in ["", "\n", "# \n \r\n"] {
            #expect(try AllowFile.ids(in: Array(nothing.utf8), path: "list") == [])
        }
    }

    @Test(
        "A line that is no id is named",
        arguments: [
            ("anna", "list:1: peer id \"anna\" begins neither with 12D3KooW nor with bafz"),
            ("# x\n\n12D3KooW\n", "list:3: peer id \"12D3KooW\""),
            ("\u{1B}[2J", "list:1: peer id \"\\x1b[2J\" begins neither"),
            ("\(friend) \(friend)", "list:1: peer id \"\(friend) "),
        ]
    )
    func badList(content: String, start: String) {
        let error = #expect(throws: Failure.self) {
            try AllowFile.ids(in: Array(content.utf8), path: "list")
        }
        #expect(error?.sentence.hasPrefix(start) == true, "\(error?.sentence ?? "no error")")
    }

    // MARK: Who may come in

    @Test(
        "The rule decides about an id",
        arguments: [
            (.everyone, stranger, nil, .accept),
            (.everyone, stranger, "nobody is there", .accept),
            (.listed([friend]), friend, nil, .accept),
            (.listed([friend]), stranger, nil, .refuse(because: "it is not among the ids that are allowed")),
            // A list is the whole list.
            (.listed([friend]), own, nil, .refuse(because: "it is not among the ids that are allowed")),
            (.listed([]), friend, nil, .refuse(because: "it is not among the ids that are allowed")),
            (.asking, own, nil, .accept),
            (.asking, own, "nobody is there", .accept),
            (.asking, stranger, nil, .ask),
            (.asking, stranger, "nobody is there", .refuse(because: "nobody is there")),
        ] as [(EntryRule.Allowed, PeerID, String?, EntryRule.Decision)]
    )
    func rule(allowed: EntryRule.Allowed, id: PeerID, obstacle: String?, decision: EntryRule.Decision) {
        let rule = EntryRule(own: Self.own, allowed: allowed)
        #expect(rule.decision(about: id, unableToAsk: obstacle) == decision)
    }

    @Test("An answer is remembered, and is about one id")
    func answers() {
        var rule = EntryRule(own: Self.own, allowed: .asking)
        rule.remember(Self.friend, isAllowed: true)
        #expect(rule.decision(about: Self.friend, unableToAsk: "nobody is there") == .accept)
        #expect(rule.decision(about: Self.stranger, unableToAsk: nil) == .ask)
        rule.remember(Self.stranger, isAllowed: false)
        #expect(
            rule.decision(about: Self.stranger, unableToAsk: nil) == .refuse(because: "the answer was no")
        )
    }

    @Test(
        "A typed line is an answer only if it is one",
        arguments: [
            ("y", .yes), ("Y", .yes), (" yes\r", .yes), ("n", .no), ("No", .no), ("", .no), ("  ", .no),
            ("yes please", .unclear), ("hello", .unclear), ("yn", .unclear), ("ｙ", .unclear),
        ] as [(String, TypedAnswer)]
    )
    func typed(line: String, answer: TypedAnswer) {
        #expect(TypedAnswer(.text(Array(line.utf8))) == answer)
        #expect(TypedAnswer(.tooLong(byteCount: 1)) == .unclear)
    }

    // MARK: Questions

    @Test("Questions are shown one after the other, one for each id")
    func questions() {
        let place = SocketAddress(host: "127.0.0.1", port: 5)
        var queue = QuestionQueue()
        var taken = queue.takeShown()
        #expect(queue.shown == nil && taken == nil)
        let added = [
            queue.add(1, Self.friend, place), queue.add(2, Self.stranger, place),
            queue.add(3, Self.friend, place),
        ]
        #expect(added == [true, true, true])
        #expect(queue.shown?.id == Self.friend)
        // One answer is for all connections of an id.
        taken = queue.takeShown()
        #expect(taken?.waiting == [1, 3])
        #expect(queue.shown?.waiting == [2])
        queue.remove(2)
        #expect(queue.shown == nil)
    }

    @Test("A connection that has ended takes its question away, unless another waits for the answer")
    func removal() {
        let place = SocketAddress(host: "127.0.0.1", port: 5)
        var queue = QuestionQueue()
        for connection in 1...2 { _ = queue.add(connection, Self.friend, place) }
        _ = queue.add(3, Self.stranger, place)
        queue.remove(1)
        #expect(queue.shown?.id == Self.friend)
        queue.remove(2)
        #expect(queue.shown?.id == Self.stranger)
        let left = queue.takeAll()
        #expect(left.map(\.waiting) == [[3]])
        #expect(queue.shown == nil)
    }

    @Test("Strangers can cause only so many questions")
    func bound() {
        let place = SocketAddress(host: "127.0.0.1", port: 5)
        var queue = QuestionQueue()
        let ids = (0...QuestionQueue.maxQuestions).map { _ in Identity().id }
        let added = ids.enumerated().map { number, id in queue.add(number, id, place) }
        #expect(added.dropLast().allSatisfy { $0 } && added.last == false)
        // Not a further question.
        let isAdded = queue.add(100, ids[0], place)
        #expect(isAdded)
    }

    // MARK: What the other side pastes

    @Test(
        "The text that is printed can be dialed",
        arguments: [
            ("127.0.0.1", "10.0.0.7", "127.0.0.1:3000", false),
            ("::1", "10.0.0.7", "[::1]:3000", false),
            ("example.org", nil, "example.org:3000", false),
            ("", "10.0.0.7", "10.0.0.7:3000", true),
            ("::", "2001:db8::7", "[2001:db8::7]:3000", true),
            ("0.0.0.0", "10.0.0.7", "10.0.0.7:3000", true),
            ("", nil, "127.0.0.1:3000", true),
        ] as [(String, String?, String, Bool)]
    )
    func listening(host: String, outward: String?, place: String, isEverywhere: Bool) throws {
        for id in [nil, Self.own] {
            let text = ListeningText(
                id: id,
                listeningAt: SocketAddress(host: host, port: 3_000),
                outward: { isIPv4Only in
                    #expect(isIPv4Only == (host == "0.0.0.0"))
                    return outward
                }
            )
            #expect(text.target == (id.map { "\($0)@" } ?? "") + place)
            #expect(text.isEverywhere == isEverywhere)
            #expect(try DialTarget(text.target).id == id)
        }
    }

    @Test("The address that the network sees is numeric")
    func outward() throws {
        // A machine without a network has none.
        guard let host = OutwardAddress.find(isIPv4Only: true) else { return }
        #expect(try AddressRange(host).contains(host))
        #expect(!AddressRange.loopback.contains { $0.contains(host) })
    }
}
