import Parley

// How `parley send` and `parley receive` hand over a file. Sizes are in decimal digits, the name is UTF-8 and
// goes on to the end.
//
// Version 2, in the framed wire form: the stream says by itself where it ends. The size is what the file had
// when it was opened, for whoever watches.
//
//     sender                                receiver
//     stream   header "parley-file 2\n<size>\n<name>", the file, the end
//                                           message  "stored <size>", "refused <reason>", or "failed
// <reason>" and                                                    it hangs up
//
// Version 1, in wire forms whose streams have no end of their own. Each side waits for the other's message
// before it goes on, so that no two messages can merge where there are no boundaries; the size is agreed
// before the stream.
//
//     sender                                receiver
//     message  "parley-file 1\n<size>\n<name>"
//                                           message  "ready", or "refused <reason>": then that was it
//     stream   exactly <size> bytes
//                                           message  "stored <size>", or "failed <reason>" and it hangs up
//
// After an answer the sender may offer another file on the same connection.

/// The largest piece in which files are read and written.
let filePieceBytes = 256 * 1024

/// What the sender would like to send.
struct FileOffer: Equatable {
    /// What goes before the stream, or into its header.
    enum Version: Int { case message = 1, header = 2 }

    let version: Version
    let size: Int
    /// As it arrived: not to be trusted before ``FileName`` has seen it.
    let name: [UInt8]

    /// The message or header that says so.
    var encoded: [UInt8] { Array("parley-file \(version.rawValue)\n\(size)\n".utf8) + name }
}

extension FileOffer {
    private static let title = Array("parley-file ".utf8)

    init(decoding message: ArraySlice<UInt8>, as expected: Version) throws(Refusal) {
        guard message.starts(with: Self.title) else { throw Refusal("expected the offer of a file") }
        let lines = message.dropFirst(Self.title.count)
            .split(separator: UInt8(ascii: "\n"), maxSplits: 2, omittingEmptySubsequences: false)
        let version = String(printable: lines[0])
        guard version == "\(expected.rawValue)" else {
            throw Refusal(
                "version \(version) of the file transfer is not known here, only \(expected.rawValue)"
            )
        }
        guard lines.count == 3 else { throw Refusal("the offer is cut short") }
        let digits = lines[1]
        guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let size = Int(String(decoding: digits, as: UTF8.self))
        else { throw Refusal("\"\(String(printable: digits))\" is not the size of a file") }
        self.init(version: expected, size: size, name: Array(lines[2]))
    }
}

/// Why a receiver does not want a file; told to the sender.
struct Refusal: Error, Equatable {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
