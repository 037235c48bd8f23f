import ArgumentParser
import Parley

/// The wire forms that the tool speaks.
enum Codec: String, CaseIterable, ExpressibleByArgument {
    case `default`, framed, gob

    var wireForm: WireForm {
        switch self {
        case .default: .default
        case .framed: .framed
        case .gob: .gob()
        }
    }

    /// The most that one message can carry.
    var maxMessageBytes: Int {
        switch self {
        case .default: DefaultDecoder.maxMessageBytes
        case .framed: FramedDecoder.defaultMaxMessageBytes
        case .gob: GOBDecoder.defaultMaxMessageBytes
        }
    }

    /// Whether streams carry a header and end by themselves; then a file needs no offer before its stream.
    var delimitsStreams: Bool { self == .framed }
}
