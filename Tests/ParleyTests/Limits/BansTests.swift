import Testing

@testable import Parley

/// The banned addresses and ids as a value.
@Suite struct BansTests {
    @Test func `a ban holds until its end, and no longer`() throws {
        let address = try #require(IPAddress("192.0.2.7"))
        let id = try PeerID(publicKey: [UInt8](repeating: 7, count: 32))
        var bans = Bans()
        #expect(!bans.contains(address) && !bans.contains(id))
        bans.add(address, until: .now + .seconds(3_600), atMost: 8)
        bans.add(id, until: .now + .seconds(3_600), atMost: 8)
        #expect(bans.contains(address) && bans.contains(id))
        bans.add(address, until: .now - .milliseconds(1), atMost: 8)
        bans.add(id, until: .now - .milliseconds(1), atMost: 8)
        #expect(!bans.contains(address) && !bans.contains(id))
        let (addresses, ids) = (bans.all(), bans.allIDs())
        #expect(addresses.isEmpty && ids.isEmpty)
    }

    @Test func `over the limit the ban that would end first is dropped`() throws {
        let addresses = try ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map { try #require(IPAddress($0)) }
        var bans = Bans()
        for (address, seconds) in zip(addresses, [300, 100, 200]) {
            bans.add(address, until: .now + .seconds(seconds), atMost: 2)
        }
        #expect(addresses.map { bans.contains($0) } == [true, false, true])
    }
}
