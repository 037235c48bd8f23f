import Parley

/// What `--json` says, an object a line. Fields are added and never change; man/parley.1 describes them.
enum Event {
    case listening(address: String, id: PeerID?)
    case begin(transfer: Int, TransferReport.Direction, TransferTotals, peer: any Peer)
    case progress(transfer: Int, bytes: Int, of: Int?)
    case file(transfer: Int, path: [UInt8], bytes: Int)
    case end(transfer: Int, Outcome, bytes: Int, seconds: Double)
    case entry(TransferEntry)
    case error(String)

    enum Outcome: String {
        /// Everything is stored.
        case stored
        /// Some of it is not; each thing has an error.
        case incomplete
        case failed
    }

    var json: JSONObject {
        switch self {
        case .listening(let address, let id):
            Self.object("listening", [("address", .text(address)), ("id", .text(orNull: id?.description))])
        case .begin(let transfer, let direction, let totals, let peer):
            Self.object(
                "begin",
                [
                    ("transfer", .number(transfer)),
                    ("direction", .text(direction == .sending ? "sending" : "receiving")),
                    ("peer", .text(peer.remoteAddress.description)),
                    ("id", .text(orNull: peer.id?.description)),
                    ("files", .number(totals.files)), ("folders", .number(totals.folders)),
                    ("links", .number(totals.links)), ("bytes", .number(orNull: totals.byteCount)),
                ]
            )
        case .progress(let transfer, let bytes, let total):
            Self.object(
                "progress",
                [("transfer", .number(transfer)), ("bytes", .number(bytes)), ("of", .number(orNull: total))]
            )
        case .file(let transfer, let path, let bytes):
            Self.object("file", Self.fields(of: path, transfer, bytes: bytes))
        case .end(let transfer, let outcome, let bytes, let seconds):
            Self.object(
                "end",
                [
                    ("transfer", .number(transfer)), ("outcome", .text(outcome.rawValue)),
                    ("bytes", .number(bytes)), ("seconds", .decimal(seconds)),
                ]
            )
        case .entry(let entry): Self.object("entry", Self.fields(of: entry))
        case .error(let message): Self.object("error", [("message", .text(message))])
        }
    }

    private typealias Fields = [(name: String, value: JSONObject.Value)]

    private static func object(_ name: String, _ fields: Fields) -> JSONObject {
        let event: Fields = [("event", .text(name))]
        return JSONObject(event + fields)
    }

    /// A path as text. One that is not UTF-8 has its bytes, in hexadecimal, beside it.
    private static func path(_ path: [UInt8], as name: String = "path") -> Fields {
        guard let text = String(validating: path, as: UTF8.self) else {
            let digits = path.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            return [(name, .text(String(printable: path))), ("\(name)_hex", .text(digits))]
        }
        return [(name, .text(text))]
    }

    private static func fields(of path: [UInt8], _ transfer: Int, bytes: Int) -> Fields {
        var fields: Fields = [("transfer", .number(transfer))]
        fields += Self.path(path)
        fields.append(("bytes", .number(bytes)))
        return fields
    }

    private static func fields(of entry: TransferEntry) -> Fields {
        let (kind, bytes, target): (String, Int?, [UInt8]?) =
            switch entry.kind {
            case .file(let byteCount): ("file", byteCount, nil)
            case .folder: ("folder", nil, nil)
            case .link(let target): ("link", nil, target)
            }
        var fields = path(entry.path)
        fields += [("kind", .text(kind)), ("bytes", .number(orNull: bytes))] as Fields
        if let target { fields += path(target, as: "target") }
        if let metadata = entry.metadata {
            fields.append(("mode", .text(String(metadata.mode, radix: 8))))
            fields.append(("modified", .number(Int(metadata.modified.seconds))))
            if let bytes {
                let tag = FileTag(byteCount: bytes, modified: metadata.modified)
                fields.append(("tag", .text(tag.text)))
            }
        }
        return fields
    }
}

extension JSONObject.Value {
    static func text(orNull text: String?) -> Self { text.map { .text($0) } ?? .null }

    static func number(orNull number: Int?) -> Self { number.map { .number($0) } ?? .null }
}
