#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Resolves one name in a thread that neither the loop nor the node waits for.
///
/// `@unchecked Sendable`: the loop's thread only.
final class Resolver: @unchecked Sendable {
    private let name: SocketAddress
    private var completion: ((Result<[RawSocketAddress], ParleyError>) -> Void)?
    private var ticket: ResolverThreads.Ticket?

    /// Starts to resolve `name`. `completion` is called once, on the loop's thread, unless ``cancel()`` comes
    /// first.
    ///
    /// - Parameter family: the only kind of addresses that is wanted; nil for both.
    init(
        _ name: SocketAddress,
        _ family: AddressFamily?,
        on loop: EventLoop,
        completion: @escaping (Result<[RawSocketAddress], ParleyError>) -> Void
    ) throws(ParleyError) {
        loop.assertIsCurrent()
        self.name = name
        self.completion = completion
        let host = HostName(host: name.host, family: family)
        ticket = try ResolverThreads.shared.lookUp(host) { [self] result in
            loop.execute { self.finish(result) }
        }
    }

    /// Drops the completion. A look-up that has begun runs to its end, and holds nothing of this one.
    func cancel() {
        completion = nil
        if let ticket = ticket.take() { ResolverThreads.shared.cancel(ticket) }
    }

    private func finish(_ result: Result<[RawSocketAddress], ParleyError>) {
        ticket = nil
        completion.take()?(result.map { $0.map { $0.with(port: name.port) } })
    }
}

/// The threads in which getaddrinfo(3) waits for name servers: for 10 seconds or more when none answers, and
/// nothing can end the call. Nobody waits for these threads; one that is left at the end of the process ends
/// with it.
///
/// A thread starts for a look-up, and ends when no other waits. The whole process has at most 64.
final class ResolverThreads: Sendable {
    static let shared = ResolverThreads()

    /// Addresses without a port, or why there are none.
    typealias Answer = Result<[RawSocketAddress], ParleyError>
    typealias Ticket = LookupQueue<HostName, Waiter>.Ticket
    typealias Waiter = @Sendable (Answer) -> Void

    private static let maxThreads = 64
    /// A look-up that takes longer than this was slow: a server that answers is faster, also far away.
    private static let patience = Duration.seconds(2)

    private let queue: Lock<LookupQueue<HostName, Waiter>>
    private let resolve: @Sendable (HostName) -> Answer

    /// - Parameter resolve: looks one name up, and may block.
    init(
        maxThreads: Int = ResolverThreads.maxThreads,
        resolve: @escaping @Sendable (HostName) -> Answer = ResolverThreads.askSystem
    ) {
        queue = Lock(LookupQueue(capacity: maxThreads))
        self.resolve = resolve
    }

    /// Looks `name` up. `answered` is called once, on one of these threads, unless ``cancel(_:)`` comes
    /// first.
    ///
    /// - Throws: `tooManyOpenFiles` when the system has no thread left. `answered` is not called then.
    func lookUp(_ name: HostName, _ answered: @escaping Waiter) throws(ParleyError) -> Ticket {
        let (ticket, next) = queue.withLock { queue in
            (queue.add(answered, for: name), queue.begin())
        }
        guard let next else { return ticket }
        let status = LibraryThread.start("parley resolver") { [self] in work(next) }
        guard status != 0 else { return ticket }
        let error = ParleyError(errno: status, "cannot start a thread to look up \"\(name.host)\"")
        let failed = queue.withLock { queue in
            queue.remove(ticket)
            return queue.end(next, wasSlow: false)
        }
        for waiter in failed { waiter(.failure(error)) }
        throw ParleyError(.tooManyOpenFiles, error.message, systemCode: error.systemCode)
    }

    /// Removes a caller that has not been answered yet.
    func cancel(_ ticket: Ticket) { queue.withLock { $0.remove(ticket) } }

    /// What a thread runs: look-ups, until none waits.
    private func work(_ first: HostName) {
        var next: HostName? = first
        while let name = next {
            let began = ContinuousClock.now
            let answer = resolve(name)
            let wasSlow = began.duration(to: .now) > Self.patience
            let waiters = queue.withLock { queue in
                defer { next = queue.begin() }
                return queue.end(name, wasSlow: wasSlow)
            }
            for waiter in waiters { waiter(answer) }
        }
    }
}

// MARK: - Asking the system

extension ResolverThreads {
    /// Calls getaddrinfo(3).
    static func askSystem(_ name: HostName) -> Answer {
        var hints = addrinfo()
        #if canImport(Glibc)
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        switch name.family {
        case .ipv4: hints.ai_family = AF_INET
        case .ipv6: hints.ai_family = AF_INET6
        case nil: hints.ai_family = AF_UNSPEC
        }
        var results: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(Punycode.encodedHost(name.host), nil, &hints, &results)
        defer { if let results { freeaddrinfo(results) } }
        guard status == 0 else {
            let reason = status == EAI_SYSTEM ? errno : 0
            // getaddrinfo(3) does not always report that it failed for lack of descriptors.
            return .failure(
                ParleyError(
                    lookup: status,
                    errno: descriptorShortage ?? reason,
                    "cannot resolve \(name)"
                )
            )
        }
        var addresses: [RawSocketAddress] = []
        var next = results
        while let result = next?.pointee {
            if let address = result.ai_addr, let raw = RawSocketAddress(copying: address) {
                addresses.append(raw)
            }
            next = result.ai_next
        }
        guard !addresses.isEmpty else {
            return .failure(ParleyError(.nameNotResolved, "\"\(name.host)\" has no TCP address"))
        }
        return .success(addresses)
    }

    /// EMFILE or ENFILE while the process or the system has no descriptors left; otherwise nil.
    private static var descriptorShortage: Int32? {
        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
        if descriptor >= 0 { close(descriptor) }
        return descriptor < 0 && (errno == EMFILE || errno == ENFILE) ? errno : nil
    }
}
