import Gauges
import Parley

/// Peers that behave, one after the other: each connects, greets, and leaves.
struct Newcomers: Sendable {
    /// How long connecting and greeting took.
    var times = Samples()
    var failures: [String] = []

    var summary: String {
        let failure = failures.first.map { ", \(failures.count) did not: \($0)" } ?? ""
        let (p50, p90, max) = (times.percentile(0.5), times.percentile(0.9), times.percentile(1))
        return "\(times.count) newcomers finished the handshake, p50 \(Int(p50)) us, p90 \(Int(p90)) us, "
            + "max \(Int(max)) us\(failure)"
    }

    /// In quiet a greeting takes milliseconds; this is what is left of "at once" on a machine that is busy.
    private static let patienceMicroseconds = 500_000.0

    /// Whether nine in ten were greeted at once, and all of them some time. On a busy machine the latter.
    func areWelcome(isMachineBusy: Bool) -> Bool {
        guard times.count > 0, failures.isEmpty else { return false }
        return isMachineBusy || times.percentile(0.9) < Self.patienceMicroseconds
    }

    /// Lets them come for a time.
    static func come(
        to address: String,
        for time: Duration,
        _ kind: NodeKind = .plain
    ) async -> Newcomers {
        var options = TransportOptions.good(kind)
        options.timeouts.handshake = .seconds(20)
        options.timeouts.close = .seconds(1)
        let transport = TCPTransport(options)
        var newcomers = Newcomers()
        let end = ContinuousClock.now + time
        repeat {
            let began = ContinuousClock.now
            do {
                let peer = try await transport.dial(address)
                newcomers.times.add(began.duration(to: .now))
                await peer.close()
            } catch { newcomers.failures.append("\(error)") }
            try? await Task.sleep(for: .milliseconds(20))
        } while ContinuousClock.now < end
        await transport.close()
        return newcomers
    }
}
