#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A fuzz target. Each has a folder of its name in Corpus and in Failures.
enum FuzzTarget: String, CaseIterable, Codable, Sendable {
    case defaultDecoder = "DefaultDecoder"
    case framedDecoder = "FramedDecoder"
    case gobDecoder = "GOBDecoder"
    case peerState = "PeerState"
    case noiseHandshake = "NoiseHandshake"
    case securedFrames = "SecuredFrames"
    case muxSession = "MuxSession"
    case negotiation = "Negotiation"
    case libP2P = "LibP2P"

    /// Checks the target's properties on one input. A failed property ends the process.
    func run(_ bytes: [UInt8]) {
        let input = FuzzInput(bytes)
        switch self {
        case .defaultDecoder: fuzzDefaultDecoder(input)
        case .framedDecoder: fuzzFramedDecoder(input)
        case .gobDecoder: fuzzGOBDecoder(input)
        case .peerState: fuzzPeerState(input)
        case .noiseHandshake: fuzzNoiseHandshake(input)
        case .securedFrames: fuzzSecuredFrames(input)
        case .muxSession: fuzzMuxSession(input)
        case .negotiation: fuzzNegotiation(input)
        case .libP2P: fuzzLibP2P(input)
        }
    }
}

/// Ends the process when a property does not hold. (`precondition` loses its message in optimised builds.)
@inline(__always)
func require(
    _ holds: Bool,
    _ property: @autoclosure () -> String,
    file: StaticString = #fileID,
    line: UInt = #line
) {
    if !holds { fatalError(property(), file: file, line: line) }
}

/// `==` without libFuzzer's instrumentation of each byte, which would take longer than everything else.
func isSame(_ one: ArraySlice<UInt8>, _ other: ArraySlice<UInt8>) -> Bool {
    one.withUnsafeBytes { one in
        other.withUnsafeBytes { other in
            guard one.count == other.count, let start = one.baseAddress, let otherStart = other.baseAddress
            else { return one.count == other.count }
            return memcmp(start, otherStart, one.count) == 0
        }
    }
}
