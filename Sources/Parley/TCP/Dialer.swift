/// One dial: resolves a name, then tries its addresses as RFC 8305 (Happy Eyeballs) says. The next attempt
/// starts 300 ms after the last one, or as soon as that one has failed. The first socket that connects wins
/// and goes to the transport. A socket that the kernel has connected to itself does not count: the address is
/// tried again.
///
/// The loop's thread only. It finishes exactly once: connected, failed, or cancelled by ``cancel(_:)``.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc8305>. The delay is that of Go's `net.Dialer`.
final class Dialer: @unchecked Sendable {
    /// A connected socket and its remote address.
    struct Connected {
        let handle: TCPHandle
        let local: SocketAddress?
        let address: SocketAddress
        let ip: IPAddress
    }

    private static let attemptDelay = Duration.milliseconds(300)
    /// How long to wait after a connection of a socket to itself. The kernel chooses another port next time,
    /// unless it has very few.
    private static let selfConnectionDelay = Duration.milliseconds(10)

    private let loop: EventLoop
    private let target: SocketAddress
    /// The only kind of addresses of a name that is tried; nil for both.
    private let family: AddressFamily?
    private let timeout: Duration
    private let keepAlive: KeepAlive?
    /// Why an address may not be dialed; nil when it may.
    private let refusal: (SocketAddress, IPAddress) -> ParleyError?
    // Unchecked: one thread uses them, and a check costs more than the access.
    @exclusivity(unchecked) private var finish: ((Result<Connected, ParleyError>) -> Void)?
    private var resolver: Resolver?
    @exclusivity(unchecked) private var waiting: ArraySlice<RawSocketAddress> = []
    @exclusivity(unchecked) private var attempts: [TCPHandle] = []
    @exclusivity(unchecked) private var failures: [ParleyError] = []
    private var nextAttempt: LoopTimer?
    private var limit: LoopTimer?

    init(
        to target: SocketAddress,
        family: AddressFamily? = nil,
        timeout: Duration,
        keepAlive: KeepAlive? = nil,
        on loop: EventLoop,
        refusal: @escaping (SocketAddress, IPAddress) -> ParleyError? = { _, _ in nil },
        finish: @escaping (Result<Connected, ParleyError>) -> Void
    ) {
        self.target = target
        self.family = family
        self.timeout = timeout
        self.keepAlive = keepAlive
        self.loop = loop
        self.refusal = refusal
        self.finish = finish
    }

    func start() {
        guard arm() else { return }
        do throws(ParleyError) {
            if let addresses = try Self.literalAddresses(target) { return begin(addresses) }
            resolver = try Resolver(target, family, on: loop) { [self] result in
                switch result {
                case .success(let addresses): begin(interleaved(addresses, by: \.isIPv6))
                case .failure(let error): cancel(error)
                }
            }
        } catch { cancel(error) }
    }

    /// Tries these addresses in this order, without a name lookup.
    func start(trying addresses: [RawSocketAddress]) {
        if arm() { begin(addresses) }
    }

    /// Starts the time-out. Returns false when the dial was cancelled before it started.
    private func arm() -> Bool {
        loop.assertIsCurrent()
        guard finish != nil else { return false }
        limit = loop.takeTimer()
        limit?.start(after: timeout) { [self] in
            cancel(ParleyError(.timedOut, "dialing \(target) took longer than \(timeout)"))
        }
        return true
    }

    /// Ends the dial with `reason`. Does nothing when it has finished.
    func cancel(_ reason: ParleyError) { end(.failure(reason)) }

    /// The addresses of a target that needs no name lookup; nil otherwise. A wildcard host means this host,
    /// as in Go.
    private static func literalAddresses(_ target: SocketAddress) throws(ParleyError) -> [RawSocketAddress]? {
        let address = RawSocketAddress(numericHost: target.host, port: target.port)
        if target.host.isEmpty || address?.ip.isUnspecified == true {
            return ["127.0.0.1", "::1"].compactMap { RawSocketAddress(numericHost: $0, port: target.port) }
        }
        if let address { return [address] }
        try RawSocketAddress.checkZone(of: target)
        return nil
    }

    /// A name may have an unspecified address, too. The gate is asked about the one that it leads to.
    private func begin(_ addresses: [RawSocketAddress]) {
        let reached = addresses.compactMap { address in
            guard address.ip.isUnspecified else { return address }
            let host = address.ip.isIPv4 ? "127.0.0.1" : "::1"
            return RawSocketAddress(numericHost: host, port: address.port)
        }
        waiting = reached[...]
        attemptNext()
    }

    private func attemptNext() {
        guard finish != nil else { return }
        guard let address = waiting.popFirst() else {
            if attempts.isEmpty { cancel(failure) }
            return
        }
        let name = SocketAddress(address)
        if let refusal = refusal(name, address.ip) {
            failures.append(refusal)
            return attemptNext()
        }
        do {
            let handle = try TCPHandle(on: loop)
            attempts.append(handle)
            do {
                try handle.connect(to: address, name, keepAlive: keepAlive) { [self] failure in
                    attempt(at: address, name, handle, ended: failure)
                }
            } catch { return attempt(at: address, name, handle, ended: error) }
        } catch {
            failures.append(error)
            return attemptNext()
        }
        if !waiting.isEmpty { attemptNext(after: Self.attemptDelay) }
    }

    private func attemptNext(after delay: Duration) {
        if nextAttempt == nil { nextAttempt = LoopTimer(on: loop) }
        nextAttempt?.start(after: delay) { [self] in attemptNext() }
    }

    private func attempt(
        at address: RawSocketAddress,
        _ name: SocketAddress,
        _ handle: TCPHandle,
        ended failure: ParleyError?
    ) {
        attempts.removeAll { $0 === handle }
        guard let failure else {
            let local = handle.localAddress
            guard handle.isConnectedToItself(at: name, from: local) else {
                let local = local.map(SocketAddress.init)
                return end(.success(Connected(handle: handle, local: local, address: name, ip: address.ip)))
            }
            // A reset leaves the port free for whoever wants to listen there.
            handle.close(abortively: true)
            waiting.append(address)
            return attemptNext(after: Self.selfConnectionDelay)
        }
        handle.close(abortively: false)
        failures.append(failure)
        attemptNext()
    }

    /// One error for all failed attempts: the first failure, with the number of the others.
    private var failure: ParleyError {
        guard let first = failures.first else {
            return ParleyError(.nameNotResolved, "\(target) has no address")
        }
        guard failures.count > 1 else { return first }
        return ParleyError(
            first.code,
            "\(first.message); \(failures.count - 1) more address(es) of \(target) failed too",
            systemCode: first.systemCode
        )
    }

    private func end(_ result: Result<Connected, ParleyError>) {
        guard let finish else { return }
        self.finish = nil
        resolver?.cancel()
        if let limit = limit.take() { loop.giveBack(limit) }
        nextAttempt?.close()
        for handle in attempts { handle.close(abortively: false) }
        attempts = []
        waiting = []
        finish(result)
    }
}

/// The same elements with the two kinds in turns. The kind of the first element begins (RFC 8305, section 4).
func interleaved<Element>(_ elements: [Element], by isSecondKind: (Element) -> Bool) -> [Element] {
    guard let first = elements.first else { return [] }
    let kind = isSecondKind(first)
    var own = elements.filter { isSecondKind($0) == kind }[...]
    var other = elements.filter { isSecondKind($0) != kind }[...]
    var result: [Element] = []
    while !own.isEmpty || !other.isEmpty {
        if let element = own.popFirst() { result.append(element) }
        if let element = other.popFirst() { result.append(element) }
    }
    return result
}
