import Testing

@testable import Parley

/// Names that are looked up, as a value: no thread, no resolver.
struct LookupQueueTests {
    @Test func `a name is looked up once for all who wait for it`() {
        var queue = LookupQueue<String, Int>(capacity: 4)
        _ = queue.add(1, for: "a")
        _ = queue.add(2, for: "a")
        #expect(queue.begin() == "a")
        _ = queue.add(3, for: "a")
        #expect(queue.begin() == nil)
        #expect(queue.end("a", wasSlow: false) == [1, 2, 3])
        #expect(queue.runningCount == 0)
        // The next one asks anew.
        _ = queue.add(4, for: "a")
        #expect(queue.begin() == "a")
    }

    @Test func `names beyond the places wait in order`() {
        var queue = LookupQueue<String, Int>(capacity: 2)
        for (number, host) in ["a", "b", "c", "d"].enumerated() { _ = queue.add(number, for: host) }
        #expect([queue.begin(), queue.begin(), queue.begin()] == ["a", "b", nil])
        #expect(queue.end("b", wasSlow: false) == [1])
        #expect(queue.begin() == "c")
        #expect(queue.begin() == nil)
    }

    @Test func `a name that nobody waits for does not begin`() {
        var queue = LookupQueue<String, Int>(capacity: 1)
        _ = queue.add(1, for: "a")
        #expect(queue.begin() == "a")
        let second = queue.add(2, for: "b")
        _ = queue.add(3, for: "c")
        queue.remove(second)
        #expect(queue.end("a", wasSlow: false) == [1])
        #expect(queue.begin() == "c")
    }

    @Test func `who leaves a look-up that has begun is not told, and its place stays taken`() {
        var queue = LookupQueue<String, Int>(capacity: 1)
        let ticket = queue.add(1, for: "a")
        #expect(queue.begin() == "a")
        queue.remove(ticket)
        _ = queue.add(2, for: "b")
        #expect(queue.begin() == nil)
        #expect(queue.end("a", wasSlow: true).isEmpty)
        #expect(queue.begin() == "b")
    }

    @Test func `names that were slow use half of the places, behind the others`() {
        var queue = LookupQueue<String, Int>(capacity: 4)
        for host in ["s1", "s2", "s3"] {
            _ = queue.add(0, for: host)
            #expect(queue.begin() == host)
            _ = queue.end(host, wasSlow: true)
        }
        for host in ["s1", "s2", "s3", "a"] { _ = queue.add(0, for: host) }
        #expect([queue.begin(), queue.begin(), queue.begin()] == ["a", "s1", "s2"])
        #expect(queue.begin() == nil, "a third slow name got a place")
        _ = queue.add(0, for: "b")
        #expect(queue.begin() == "b")
        // One that answers in time is like any other again.
        _ = queue.end("s1", wasSlow: false)
        #expect(queue.begin() == "s3")
        _ = queue.add(0, for: "s1")
        #expect(queue.begin() == nil)
        _ = queue.end("a", wasSlow: false)
        #expect(queue.begin() == "s1")
    }
}

/// The threads, with a resolver whose names begin with "dead" never answer until the test says so.
struct ResolverThreadsTests {
    @Test func `dead names delay no other`() async throws {
        let gates = ["dead 1": ThreadParker(), "dead 2": ThreadParker(), "dead 3": ThreadParker()]
        let threads = ResolverThreads(maxThreads: 4) { name in
            _ = gates[name.host]?.wait(until: nil)
            return .success([RawSocketAddress(numericHost: "127.0.0.1", port: 0)!])
        }
        let dead = Lock(0)
        for host in ["dead 1", "dead 1", "dead 1", "dead 1", "dead 2", "dead 3"] {
            _ = try threads.lookUp(HostName(host: host)) { _ in dead.withLock { $0 += 1 } }
        }
        let addresses = try await withCheckedContinuation { continuation in
            do throws(ParleyError) {
                _ = try threads.lookUp(HostName(host: "live")) { continuation.resume(returning: $0) }
            } catch { continuation.resume(returning: .failure(error)) }
        }.get()
        #expect(addresses.map { SocketAddress($0).host } == ["127.0.0.1"])
        #expect(dead.withLock { $0 } == 0)
        for gate in gates.values { gate.wake() }
        try await eventually { dead.withLock { $0 } == 6 }
    }

    @Test func `one kind of addresses of a name is looked up apart from the other`() async throws {
        let threads = ResolverThreads { name in
            let hosts =
                switch name.family {
                case .ipv4: ["127.0.0.1"]
                case .ipv6: ["::1"]
                case nil: ["::1", "127.0.0.1"]
                }
            return .success(hosts.map { RawSocketAddress(numericHost: $0, port: 0)! })
        }
        for (family, hosts) in [(nil, ["::1", "127.0.0.1"]), (.ipv4, ["127.0.0.1"]), (.ipv6, ["::1"])]
            as [(AddressFamily?, [String])]
        {
            let addresses = try await withCheckedContinuation { continuation in
                do throws(ParleyError) {
                    _ = try threads.lookUp(HostName(host: "twofold", family: family)) {
                        continuation.resume(returning: $0)
                    }
                } catch { continuation.resume(returning: .failure(error)) }
            }.get()
            #expect(addresses.map { SocketAddress($0).host } == hosts)
        }
    }

    @Test func `the system is asked for the kind of addresses that is wanted`() throws {
        let addresses = try ResolverThreads.askSystem(HostName(host: "localhost", family: .ipv4)).get()
        #expect(!addresses.isEmpty && addresses.allSatisfy { !$0.isIPv6 })
        // Whether the name has an IPv6 address depends on the machine.
        switch ResolverThreads.askSystem(HostName(host: "localhost", family: .ipv6)) {
        case .success(let addresses): #expect(addresses.allSatisfy { $0.isIPv6 })
        case .failure(let error):
            #expect(error.code == .nameNotResolved)
            #expect(error.message.contains("\"localhost\" to an IPv6 address"))
        }
    }

    @Test func `the thread of a name that nobody waits for holds nothing of who asked`() throws {
        final class Caller: Sendable {}
        let gate = ThreadParker()
        let threads = ResolverThreads(maxThreads: 1) { _ in
            _ = gate.wait(until: nil)
            return .success([])
        }
        weak var caller: Caller?
        func ask() throws {
            let made = Caller()
            caller = made
            threads.cancel(try threads.lookUp(HostName(host: "dead")) { _ in withExtendedLifetime(made) {} })
        }
        try ask()
        #expect(caller == nil)
        gate.wake()
    }
}

struct PunycodeTests {
    // From RFC 3492, section 7.1, in lower case, and names in use.
    @Test(arguments: [
        ("example.org", "example.org"), ("", ""), ("a..b", "a..b"),
        ("bücher.example", "xn--bcher-kva.example"), ("münchen.de", "xn--mnchen-3ya.de"),
        ("BÜCHER.Example", "xn--bcher-kva.Example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("ليهمابتكلموشعربي؟", "xn--egbpdaj6bu4bxfgehfvwxn"),
        ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
        ("Pročprostěnemluvíčesky", "xn--proprostnemluvesky-uyb24dma41a"),
        ("3年B組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"),
        ("😀.test", "xn--e28h.test"),
    ])
    func `a host name outside of ASCII is encoded by label`(_ host: String, _ encoded: String) {
        #expect(Punycode.encodedHost(host) == encoded)
    }
}
