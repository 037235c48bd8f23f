import Parley

/// What `listen` and `receive` print about where they listen.
struct ListeningText: Equatable {
    /// What somebody types to reach this node: `12D3KooW…@192.168.1.5:3000`.
    let target: String
    /// Whether the node listens on every address of this machine; the target names one of them.
    let isEverywhere: Bool

    /// - Parameters:
    ///   - id: this node's own; nil without one.
    ///   - address: where it listens, with the real port.
    ///   - outward: returns an address of this machine that others may reach; nil when there is none. Its
    ///     argument says that only an IPv4 address will do.
    init(id: PeerID?, listeningAt address: SocketAddress, outward: (_ isIPv4Only: Bool) -> String?) {
        isEverywhere = ["", "::", "0.0.0.0"].contains(address.host)
        let host = isEverywhere ? outward(address.host == "0.0.0.0") ?? "127.0.0.1" : address.host
        let place = SocketAddress(host: host, port: address.port).description
        target = id.map { "\($0)@\(place)" } ?? place
    }

    /// Prints where a transport listens: first what can be pasted, alone behind its title.
    static func show(for transport: TCPTransport, id: PeerID?) throws {
        let address = try SocketAddress(transport.address)
        let text = ListeningText(id: id, listeningAt: address, outward: OutwardAddress.find)
        Console.event(.listening(address: text.target, id: id))
        Console.line("listening on \(text.target)")
        if text.isEverywhere { Console.line("(one address of this machine; it listens on all of them)") }
    }
}
