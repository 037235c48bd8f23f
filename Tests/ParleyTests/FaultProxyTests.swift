import Testing

@testable import FaultProxy

/// The fault proxy itself. `make chaos` and other tests rely on the faults that it injects.
@Suite(.timeLimit(.minutes(1))) struct FaultProxyTests {
    /// Two sockets with a proxy between them.
    private func withProxy(
        _ plan: FaultPlan,
        _ body: (_ client: RawSocket, _ target: RawSocket, _ proxy: FaultProxy) async throws -> Void
    ) async throws {
        let listener = try RawListener()
        let proxy = FaultProxy(to: listener.port, plan)
        defer { proxy.close() }
        let client = try RawSocket(connectingTo: "127.0.0.1:\(proxy.port)")
        try await body(client, listener.accept(), proxy)
    }

    private func faults(_ plan: FaultPlan, connection: Int = 0, within bytes: Int) -> [(Int, Fault)] {
        var schedule = FaultSchedule(plan, connection: connection, direction: .toTarget)
        var faults: [(Int, Fault)] = []
        while let next = schedule.next, next.offset < bytes {
            faults.append((next.offset, next.fault))
            schedule.removeNext()
        }
        return faults
    }

    private static let everything = FaultPlan(
        seed: 7,
        meanBytes: Dictionary(uniqueKeysWithValues: Fault.Kind.allCases.map { ($0, 10_000) })
    )

    @Test func `a seed repeats every fault, and another seed makes others`() {
        let once = faults(Self.everything, within: 1_000_000)
        let again = faults(Self.everything, within: 1_000_000)
        #expect(once.elementsEqual(again, by: ==))
        var other = Self.everything
        other.seed = 8
        #expect(!once.elementsEqual(faults(other, within: 1_000_000), by: ==))
        #expect(!once.elementsEqual(faults(Self.everything, connection: 1, within: 1_000_000), by: ==))
    }

    @Test func `every kind of fault is as frequent as the plan says`() {
        let counts = Dictionary(grouping: faults(Self.everything, within: 10_000_000)) { $0.1.kind }
        for kind in Fault.Kind.allCases {
            let count = counts[kind]?.count ?? 0
            #expect((800...1_200).contains(count), "\(kind): \(count) in 1,000 times its mean")
        }
    }

    @Test func `chosen faults occur at their bytes among random ones`() {
        var plan = FaultPlan(seed: 1, meanBytes: [.split: 100])
        plan.chosen = [.init(.cut, at: 500, .toTarget), .init(.corrupt(mask: 1), at: 20, .toTarget)]
        plan.chosen.append(.init(.reset, at: 1, .fromTarget))
        plan.chosen.append(.init(.reset, at: 1, .toTarget, ofConnection: 3))
        let all = faults(plan, within: 1_000)
        #expect(all.contains { $0 == (20, .corrupt(mask: 1)) })
        #expect(all.contains { $0 == (500, .cut) })
        #expect(!all.contains { $0.1 == .reset })
        #expect(all.map(\.0) == all.map(\.0).sorted())
    }

    @Test func `without faults, bytes and ends cross in both directions`() async throws {
        try await withProxy(.splitting(seed: 3)) { client, target, proxy in
            let bytes = patterned(300_000)
            async let sent: Void = offPool { try? client.write(bytes) }
            #expect(same(try await target.read(exactly: bytes.count), bytes))
            await sent
            client.finish()
            #expect(await target.read() == [], "half-closed")
            try target.write(Array("still here".utf8))
            #expect(try await client.read(exactly: 10) == Array("still here".utf8))
            target.finish()
            #expect(await client.read() == [])
            #expect(proxy.faults.isEmpty)
        }
    }

    @Test func `a reset of one side reaches the other side`() async throws {
        try await withProxy(FaultPlan()) { client, target, _ in
            try client.write([1])
            _ = try await target.read(exactly: 1)
            client.reset()
            #expect(await target.read() == nil)
        }
    }

    @Test func `a corruption changes one byte`() async throws {
        let plan = FaultPlan(chosen: [.init(.corrupt(mask: 0x10), at: 1_000, .toTarget)])
        try await withProxy(plan) { client, target, proxy in
            try client.write(patterned(2_000))
            var expected = patterned(2_000)
            expected[1_000] ^= 0x10
            #expect(same(try await target.read(exactly: 2_000), expected))
            #expect(proxy.faults == [.corrupt: 1])
        }
    }

    @Test func `a cut is an orderly end at its byte, for both sides`() async throws {
        try await withProxy(FaultPlan(chosen: [.init(.cut, at: 700, .fromTarget)])) { client, target, proxy in
            try target.write(patterned(2_000))
            #expect(same(try await client.read(exactly: 700), patterned(700)))
            #expect(await client.read() == [])
            #expect(await target.read() == [])
            #expect(proxy.faults == [.cut: 1])
        }
    }

    @Test func `a reset comes at its byte, for both sides`() async throws {
        try await withProxy(FaultPlan(chosen: [.init(.reset, at: 700, .toTarget)])) { client, target, proxy in
            try client.write(patterned(700))
            #expect(same(try await target.read(exactly: 700), patterned(700)))
            try client.write([1])
            #expect(await target.read() == nil)
            #expect(await client.read() == nil)
            #expect(proxy.faults == [.reset: 1])
        }
    }

    @Test func `a delay holds one direction, a stall both`() async throws {
        let pause = Duration.milliseconds(200)
        let plan = FaultPlan(
            chosen: [.init(.delay(pause), at: 0, .toTarget), .init(.stall(pause), at: 1, .toTarget)]
        )
        try await withProxy(plan) { client, target, proxy in
            let started = ContinuousClock.now
            try client.write([1])
            try target.write([2])
            #expect(try await client.read(exactly: 1) == [2])
            #expect(try await target.read(exactly: 1) == [1])
            #expect(started.duration(to: .now) >= pause)

            let stalled = ContinuousClock.now
            try client.write([3])
            while proxy.faults[.stall] == nil { try await Task.sleep(for: .milliseconds(1)) }
            try target.write([4])
            #expect(try await client.read(exactly: 1) == [4])
            #expect(try await target.read(exactly: 1) == [3])
            #expect(stalled.duration(to: .now) >= pause)
            #expect(proxy.faults == [.delay: 1, .stall: 1])
        }
    }

    @Test func `a merge waits for its bytes or for its time-out`() async throws {
        let plan = FaultPlan(chosen: [
            .init(.merge(bytes: 2_000, within: .seconds(60)), at: 0, .toTarget),
            .init(.merge(bytes: 1 << 20, within: .milliseconds(50)), at: 2_000, .toTarget),
            .init(.split, at: 2_001, .toTarget),
        ])
        try await withProxy(plan) { client, target, proxy in
            try client.write(patterned(1_000))
            while proxy.faults[.merge] == nil { try await Task.sleep(for: .milliseconds(1)) }
            try client.write(patterned(1_000))
            #expect(await target.read() == patterned(1_000) + patterned(1_000), "in one segment")
            try client.write([5, 6])
            #expect(try await target.read(exactly: 2) == [5, 6])
            #expect(proxy.faults == [.merge: 2, .split: 1])
        }
    }

    @Test func `a vanished side sends nothing, not even its end`() async throws {
        try await withProxy(FaultPlan(chosen: [.init(.vanish, at: 3, .toTarget)])) { client, target, proxy in
            try client.write([1, 2, 3, 4])
            #expect(try await target.read(exactly: 3) == [1, 2, 3])
            while proxy.faults[.vanish] == nil { try await Task.sleep(for: .milliseconds(1)) }
            client.finish()
            try target.write([9])
            proxy.close()
            #expect(await target.read() == nil, "the first news is the reset of the closing proxy")
        }
    }

    @Test func `a new target gets the next connection, and no target resets it`() async throws {
        let first = try RawListener()
        let second = try RawListener()
        let proxy = FaultProxy(to: first.port, FaultPlan())
        _ = try RawSocket(connectingTo: "127.0.0.1:\(proxy.port)")
        _ = try await first.accept()
        proxy.setTarget(second.port)
        _ = try RawSocket(connectingTo: "127.0.0.1:\(proxy.port)")
        _ = try await second.accept()
        proxy.setTarget(1)
        let refused = try RawSocket(connectingTo: "127.0.0.1:\(proxy.port)")
        #expect(await refused.read() == nil)
    }
}
