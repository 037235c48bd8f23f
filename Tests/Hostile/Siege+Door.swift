import Gauges

extension Siege {
    /// Fills the handshakes of a node that was made through the C API.
    mutating func attackDoor() async throws {
        let door = try RoleProcess("door")
        let first: NodeReport = try await door.hear()
        let address = "127.0.0.1:\(first.port)"
        let good = try await GoodPeer.connect(to: address)
        let bulk = BulkPeer(to: address, isMachineBusy: isMachineBusy)
        let before = await Newcomers.come(to: address, for: .seconds(1))
        attacker.tell(AttackOrder(behaviours: [.door], port: first.port, connections: 0, seconds: nil))
        var report = first
        try await eventually {
            report = try await Self.report(of: door)
            return report.handshaking >= Campaign.silentAtDoor
        }
        begin(good, bulk)
        let during = await Newcomers.come(
            to: address,
            for: .seconds(max(Self.shortestFillSeconds, seconds))
        )
        let phase = await end("door", good, bulk)
        attacker.tell(AttackOrder.Stop())
        let attack: AttackReport = try await attacker.hear()
        say("door: \(attack.summary)")
        phase.say()
        say("  in quiet: \(before.summary)")
        verdict.check(
            report.handshaking >= Campaign.silentAtDoor,
            "door: \(report.handshaking) handshakes are silent, \(Campaign.silentAtDoor) were to be"
        )
        verdict.check(during.areWelcome(isMachineBusy: isMachineBusy), "door: \(during.summary)")
        verdict.check(good.failure == nil, "door: the good peer was served throughout \(good.failure ?? "")")
        await good.close()
        await bulk.close()
        let last = try await Self.report(of: door)
        judgeMemory("door", peakBytes: last.peakBytes)
        let end = await door.end()
        verdict.check(end == .exited(0), "door: the node ended: \(end)")
        phases.append(phase)
    }
}
