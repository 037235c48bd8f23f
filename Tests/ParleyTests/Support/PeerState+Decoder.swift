@testable import Parley

extension PeerState {
    /// The state of a connection whose wire form makes this decoder.
    init(decoder: any Decoder, bounds: Bounds = Bounds()) {
        self.init(
            decoder: (decoder as? FramedDecoder).map(InputDecoder.init) ?? InputDecoder(decoder),
            bounds: bounds
        )
    }
}
