// The entry points of libFuzzer. scripts/fuzz.sh compiles this file once for each target, together with the
// sources of the wire forms and of secured links, so that libFuzzer sees their branches.

#if FUZZ_DEFAULT_DECODER
    private let target = FuzzTarget.defaultDecoder
#elseif FUZZ_FRAMED_DECODER
    private let target = FuzzTarget.framedDecoder
#elseif FUZZ_GOB_DECODER
    private let target = FuzzTarget.gobDecoder
#elseif FUZZ_PEER_STATE
    private let target = FuzzTarget.peerState
#elseif FUZZ_NOISE_HANDSHAKE
    private let target = FuzzTarget.noiseHandshake
#elseif FUZZ_SECURED_FRAMES
    private let target = FuzzTarget.securedFrames
#elseif FUZZ_MUX_SESSION
    private let target = FuzzTarget.muxSession
#elseif FUZZ_NEGOTIATION
    private let target = FuzzTarget.negotiation
#elseif FUZZ_LIBP2P
    private let target = FuzzTarget.libP2P
#else
    #error("say which target this is, as scripts/fuzz.sh does")
#endif

/// See <https://llvm.org/docs/LibFuzzer.html>.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target.run([UInt8](UnsafeBufferPointer(start: start, count: count)))
    return 0
}
