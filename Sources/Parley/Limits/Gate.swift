/// Decides by address which connections are allowed, before anything else is spent on them.
///
/// An inbound connection is checked right after accept(2). A dial is checked when its name is resolved, for
/// each address. An inbound connection that the gate denies is reset and counted as `notAllowed`; a dial
/// throws `notAllowed`.
public struct Gate: Sendable {
    let allows: @Sendable (SocketAddress, _ isOutbound: Bool) -> Bool

    /// A gate of your own.
    ///
    /// - Parameter allows: returns whether a connection with the remote address is allowed; the second
    ///   argument says whether this node dials it. It runs on a thread of the transport, with several
    ///   ``TransportOptions/loops`` perhaps on two at once. It must not block.
    public init(_ allows: @escaping @Sendable (SocketAddress, _ isOutbound: Bool) -> Bool) {
        self.allows = allows
    }

    /// Allows only addresses in these ranges.
    public static func allowing(_ ranges: [AddressRange]) -> Gate {
        let set = AddressSet(ranges)
        return Gate { address, _ in address.ip.map { set.contains($0) } ?? false }
    }

    /// Allows all addresses but those in these ranges.
    public static func denying(_ ranges: [AddressRange]) -> Gate {
        let set = AddressSet(ranges)
        return Gate { address, _ in address.ip.map { !set.contains($0) } ?? true }
    }

    /// Allows what both gates allow.
    public func and(_ other: Gate) -> Gate {
        Gate { [allows] in allows($0, $1) && other.allows($0, $1) }
    }

    /// The same gate for inbound connections only; dials are always allowed.
    public var forInbound: Gate { Gate { [allows] in $1 || allows($0, $1) } }
}
