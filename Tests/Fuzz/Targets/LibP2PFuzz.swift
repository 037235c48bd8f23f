#if !FUZZ
    @testable import Parley
#endif

/// Fuzzes what libp2p nodes say of themselves: whatever is read can be written, and is then read as the same.
func fuzzLibP2P(_ input: FuzzInput) {
    do throws(ParleyError) {
        let said = try Identification(delimited: input.wire)
        require(said.protocols.count <= Identification.maxProtocols, "too many protocols")
        require(said.listenAddresses.count <= Identification.maxAddresses, "too many addresses")
        // Text that is no UTF-8 is longer when it is repaired.
        guard said.delimited.count <= Identification.maxBytes else { return }
        let again = try Identification(delimited: said.delimited[...])
        // The last names and addresses are left out of a long one.
        var expected = said
        expected.protocols = Array(said.protocols.prefix(again.protocols.count))
        expected.listenAddresses = Array(said.listenAddresses.prefix(again.listenAddresses.count))
        require(again == expected, "it is read as another one")
    } catch { require(error.code == .protocolViolation, "\(error)") }
    do throws(ParleyError) {
        let address = try Multiaddr(bytes: input.wire)
        require(!address.description.isEmpty, "an address without text")
        let again = try Multiaddr(bytes: address.bytes)
        require(again == address, "\(address) is read as \(again)")
    } catch { require(error.code == .invalidAddress, "\(error)") }
}
