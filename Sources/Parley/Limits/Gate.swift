/// Who may connect at all: asked about an address before anything else is spent on it.
///
/// For a connection that others make it is asked right behind accept(2), for a dial when the name is resolved, for each
/// of its addresses. What it denies ends with the code `notAllowed`.
public struct Gate: Sendable {
    let allows: @Sendable (SocketAddress, _ isOutbound: Bool) -> Bool

    /// A gate of your own.
    ///
    /// - Parameter allows: gets the remote address, and whether this node dials it. It runs on a thread of the
    ///   transport (with several ``TransportOptions/loops`` perhaps on two at once): it must not block.
    public init(_ allows: @escaping @Sendable (SocketAddress, _ isOutbound: Bool) -> Bool) {
        self.allows = allows
    }

    /// Lets in only addresses of these ranges.
    public static func allowing(_ ranges: [AddressRange]) -> Gate {
        let set = AddressSet(ranges)
        return Gate { address, _ in address.ip.map { set.contains($0) } ?? false }
    }

    /// Lets in all addresses but those of these ranges.
    public static func denying(_ ranges: [AddressRange]) -> Gate {
        let set = AddressSet(ranges)
        return Gate { address, _ in address.ip.map { !set.contains($0) } ?? true }
    }

    /// Lets in what both let in.
    public func and(_ other: Gate) -> Gate {
        Gate { [allows] in allows($0, $1) && other.allows($0, $1) }
    }

    /// Asks only about connections that others make; dials pass.
    public var forInbound: Gate { Gate { [allows] in $1 || allows($0, $1) } }
}
