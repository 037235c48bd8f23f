import ArgumentParser
import Parley

/// The wire forms that the tool speaks.
enum Codec: String, CaseIterable, ExpressibleByArgument {
    case framed, unframed, gob

    var wireForm: WireForm {
        switch self {
        case .framed: .framed
        case .unframed: .unframed
        case .gob: .gob()
        }
    }

    /// The longest message, in bytes.
    var maxMessageBytes: Int {
        switch self {
        case .framed: FramedDecoder.defaultMaxMessageBytes
        case .unframed: DefaultDecoder.maxMessageBytes
        case .gob: GOBDecoder.defaultMaxMessageBytes
        }
    }

    /// Whether a stream has a header and an end of its own. If so, a file needs no offer before its stream.
    var delimitsStreams: Bool { self == .framed }
}
