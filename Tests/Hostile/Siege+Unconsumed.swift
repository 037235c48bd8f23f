import Gauges

extension Siege {
    /// More than what the limits allow: the heap's own, and what the allocator rounds up.
    private static let unconsumedSlackBytes = 12 << 20

    /// Leaves a node whose inbox is full with the bytes of one connection after the other.
    mutating func attackUnconsumed() async throws {
        let node = try RoleProcess("unconsumed")
        let before: NodeReport = try await node.hear()
        let address = "127.0.0.1:\(before.port)"
        attacker.tell(AttackOrder(behaviours: [.reset], port: before.port, connections: 0, seconds: nil))
        async let newcomers = Newcomers.come(to: address, for: .seconds(2))
        let attack: AttackReport = try await attacker.hear()
        let greeted = await newcomers
        var after = before
        // Then its memory is what stays. A node may also keep them as peers, until somebody takes what they
        // have sent.
        try await eventually {
            after = try await Self.report(of: node)
            return after.peers + after.handshaking == 0 && after.accepted >= attack.made
        }
        let grown = after.heapBytes - before.heapBytes
        let limit = Unconsumed.receiveBufferBytes + Unconsumed.inboxBytes + Self.unconsumedSlackBytes
        say("reset: \(attack.summary)")
        say(
            "  then \(after.accepted) were accepted, \(after.ended) have ended, \(after.peers) are peers; "
                + "\(mebibytes(after.keptBytes)) are kept as the statistics have it"
        )
        verdict.check(greeted.areWelcome(isMachineBusy: isMachineBusy), "reset: \(greeted.summary)")
        verdict.check(
            grown < limit,
            "reset: the heap grew by \(mebibytes(grown)), the limit is \(mebibytes(limit))"
        )
        verdict.check(
            grown - after.keptBytes < Self.unconsumedSlackBytes,
            "reset: \(mebibytes(grown - after.keptBytes)) of that are not in the statistics, the limit is "
                + mebibytes(Self.unconsumedSlackBytes)
        )
        judgeMemory("reset", peakBytes: after.peakBytes)
        let end = await node.end()
        verdict.check(end == .exited(0), "reset: the node ended: \(end)")
    }
}
