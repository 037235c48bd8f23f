import ArgumentParser
import Parley
import ParleyNoise

/// `--identity`, which every command has.
struct IdentityOption: ParsableArguments, Sendable {
    @Option(
        help: ArgumentHelp(
            "The file of this node's identity; made when there is none.",
            valueName: "file"
        ),
        completion: .file()
    )
    var identity: String?

    func validate() throws { try EmptyArgument.refuse([identity], "--identity") }

    /// This node's identity: the one in the file, made if it has to be.
    ///
    /// - Parameter alternative: what else an error proposes than another file.
    func load(or alternative: String = "") throws(Failure) -> Identity {
        do {
            return try IdentityFile(option: identity, environment: environmentVariable).loadOrCreate()
        } catch { throw Failure("\(error.sentence); --identity FILE uses another file\(alternative)") }
    }
}

/// The options about who this node is, and whom it talks to.
struct SecurityOptions: ParsableArguments, Sendable {
    @OptionGroup var identity: IdentityOption

    @Option(
        help: ArgumentHelp("The id of a node that may come in, or answer; repeatable.", valueName: "id")
    )
    var allow: [String] = []

    @Option(
        help: ArgumentHelp("A file of such ids, one in a line; # begins a comment.", valueName: "file"),
        completion: .file()
    )
    var allowFile: String?

    @Flag(help: "Let every node in that proves an id, whichever it is.")
    var allowAll = false

    @Flag(help: "Go without identities and encryption, for nodes that have none.")
    var plain = false

    func validate() throws {
        try EmptyArgument.refuse([allowFile], "--allow-file")
        let others = [
            ("--identity", identity.identity != nil), ("--allow", !allow.isEmpty),
            ("--allow-file", allowFile != nil), ("--allow-all", allowAll),
        ].filter(\.1).map(\.0)
        if plain, let other = others.first {
            throw ValidationError("--plain goes without identities, so \(other) cannot go with it")
        }
        if allowAll, let other = others.first(where: { $0.hasPrefix("--allow") && $0 != "--allow-all" }) {
            throw ValidationError("--allow-all lets every node in, so \(other) cannot go with it")
        }
        _ = try allowedIDs()
    }

    /// - Throws: a usage error when the address is malformed, or has an id that a plain node cannot ask for.
    func validate(dialing address: String) throws {
        let target: DialTarget
        do throws(ParleyError) { target = try DialTarget(address) } catch {
            throw ValidationError(error.message)
        }
        guard plain, target.id != nil else { return }
        throw ValidationError("--plain goes without identities, so the address cannot have one")
    }

    /// - Throws: a usage error when the address is malformed.
    func validate(listeningAt address: String) throws {
        do throws(ParleyError) { _ = try SocketAddress(address) } catch {
            throw ValidationError(error.message)
        }
    }

    private func loadIdentity() throws(Failure) -> Identity {
        try identity.load(or: ", --plain goes without an identity")
    }

    private func allowedIDs() throws -> Set<PeerID> {
        Set(
            try allow.map { text -> PeerID in
                do throws(ParleyError) { return try PeerID(text) } catch {
                    throw ValidationError("--allow: \(error.message)")
                }
            }
        )
    }

    /// The ids that the command line names; nil when it names none.
    private func listedIDs() throws -> Set<PeerID>? {
        guard !allow.isEmpty || allowFile != nil else { return nil }
        guard let allowFile else { return try allowedIDs() }
        let path = LocalPath(argument: allowFile, of: "--allow-file")
        return try allowedIDs().union(AllowFile.ids(at: path))
    }

    /// How a node that dials is secured. Whoever answers there is talked to, unless ids are listed.
    func whenDialing() throws -> Security {
        guard !plain else { return .none }
        return .noise(try loadIdentity(), allow: try listedIDs().map { .only($0) } ?? .everyone)
    }

    /// How a node that listens is secured, and what decides about those that come; nil without identities.
    ///
    /// - Parameter lettingStrangersIn: whether those come in that a person would be asked about.
    func whenListening(
        lettingStrangersIn: Bool = false
    ) throws -> (security: Security, newcomers: Newcomers?) {
        guard !plain else { return (.none, nil) }
        let listed = try listedIDs()
        let identity = try loadIdentity()
        let others = lettingStrangersIn ? EntryRule.Allowed.everyone : .asking
        let allowed = allowAll ? .everyone : listed.map { .listed($0) } ?? others
        let newcomers = Newcomers(EntryRule(own: identity.id, allowed: allowed))
        let peers = AllowedPeers.only([]).or(within: Newcomers.answerTime) { await newcomers.admit($0) }
        return (.noise(identity, allow: peers), newcomers)
    }
}
