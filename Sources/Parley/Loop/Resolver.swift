import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Resolves one name on libuv's thread pool, never on the loop's thread.
///
/// Source: <https://docs.libuv.org/en/v1.x/dns.html>
final class Resolver {
    private let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
    private let name: SocketAddress
    private var completion: ((Result<[RawSocketAddress], ParleyError>) -> Void)?

    /// Starts to resolve `name`. `completion` is called once, on the loop's thread, unless ``cancel()`` comes
    /// first.
    init(
        _ name: SocketAddress,
        on loop: EventLoop,
        completion: @escaping (Result<[RawSocketAddress], ParleyError>) -> Void
    ) throws(ParleyError) {
        loop.assertIsCurrent()
        self.name = name
        self.completion = completion
        var hints = addrinfo()
        #if canImport(Glibc)
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        request.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let status = uv_getaddrinfo(
            loop.uv,
            request,
            { request, status, results in
                Unmanaged<Resolver>.fromOpaque(request!.pointee.data).takeRetainedValue()
                    .finished(status, results)
            },
            name.host,
            nil,
            &hints
        )
        guard status == 0 else {
            Unmanaged.passUnretained(self).release()
            throw ParleyError(libuv: status, "cannot look up \"\(name.host)\"")
        }
    }

    deinit { request.deallocate() }

    /// Drops the completion. A lookup that has begun runs to its end; its result is ignored.
    func cancel() {
        completion = nil
        uv_cancel(clibuv_getaddrinfo_as_req(request))
    }

    /// libuv's error code when the process or the system has no descriptors left now; otherwise nil.
    private static var descriptorShortage: Int32? {
        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
        if descriptor >= 0 { close(descriptor) }
        guard descriptor < 0, errno == EMFILE || errno == ENFILE else { return nil }
        return uv_translate_sys_error(errno)
    }

    private func finished(_ status: Int32, _ results: UnsafeMutablePointer<addrinfo>?) {
        defer { uv_freeaddrinfo(results) }
        guard let completion else { return }
        self.completion = nil
        var addresses: [RawSocketAddress] = []
        var next = results
        while let result = next?.pointee {
            if let address = result.ai_addr, let raw = RawSocketAddress(copying: address, port: name.port) {
                addresses.append(raw)
            }
            next = result.ai_next
        }
        if status == 0, !addresses.isEmpty {
            completion(.success(addresses))
        } else if status == 0 {
            completion(.failure(ParleyError(.nameNotResolved, "\"\(name.host)\" has no TCP address")))
        } else {
            // getaddrinfo(3) does not always report that it failed for lack of descriptors.
            let cause = Self.descriptorShortage ?? status
            completion(.failure(ParleyError(libuv: cause, "cannot resolve \"\(name.host)\"")))
        }
    }
}
