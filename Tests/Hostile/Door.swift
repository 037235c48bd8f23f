import CParley
import Foundation
import Gauges

/// A node as a C program makes it, whose handshake blocks. In a process of its own, as that program would be.
enum Door {
    static func run() -> Never {
        var options = parley_options()
        options.size = MemoryLayout<parley_options>.size
        options.codec = PARLEY_CODEC_FRAMED
        options.handshake = { transport, peer, _ in Door.greet(transport, peer) }
        options.on_rpcs = { transport, rpcs, count, _ in
            for rpc in UnsafeBufferPointer(start: rpcs, count: count) { Door.answer(transport, rpc) }
        }
        var transport: OpaquePointer?
        "127.0.0.1:0".withCString {
            options.listen_address = $0
            check(parley_create(&options, &transport))
        }
        check(parley_listen(transport))
        var address = [CChar](repeating: 0, count: 64)
        check(parley_address(transport, &address, address.count))
        let text = address.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let port = UInt16(String(decoding: text, as: UTF8.self).split(separator: ":").last ?? "") ?? 0
        RoleProcess.answer(report(on: transport, port))
        while RoleProcess.readOrder(NodeOrder.self) != nil {
            RoleProcess.answer(report(on: transport, port))
        }
        check(parley_free(transport))
        exit(0)
    }

    private static func check(_ result: Int32) {
        precondition(result >= 0, String(cString: parley_last_error()))
    }

    /// On a thread of the library's, where it may block.
    private static func greet(_ transport: OpaquePointer?, _ peer: parley_peer) -> Int32 {
        let expected = Greeting.bytes
        var heard = [UInt8](repeating: 0, count: expected.count)
        let result = parley_read_exactly(transport, peer, &heard, heard.count, PARLEY_FOREVER)
        guard result == PARLEY_OK.rawValue else { return result }
        guard heard == expected else { return PARLEY_EHANDSHAKE.rawValue }
        return parley_send(transport, peer, expected, expected.count, PARLEY_FOREVER)
    }

    /// On the loop, where it may not: what finds no room is not answered, and the good peer says so.
    private static func answer(_ transport: OpaquePointer?, _ rpc: parley_rpc) {
        let payload = UnsafeBufferPointer(start: rpc.payload, count: rpc.length)
        switch Request(payload) {
        case .ping: _ = parley_send_message(transport, rpc.peer, rpc.payload, rpc.length, 0)
        case .bulk:
            for piece in 0..<Request.pieces {
                let bytes = rpc.payload + piece * Request.pieceBytes
                _ = parley_send_message(transport, rpc.peer, bytes, Request.pieceBytes, 0)
            }
        case .feed, .forged, .once, .other: break
        }
    }

    private static func report(on transport: OpaquePointer?, _ port: UInt16) -> NodeReport {
        var statistics = parley_statistics()
        check(parley_get_statistics(transport, &statistics, MemoryLayout<parley_statistics>.size))
        var report = NodeReport(port: port)
        report.handshaking = Int(statistics.handshaking)
        report.peers = Int(statistics.inbound_peers + statistics.outbound_peers)
        report.accepted = Int(statistics.accepted)
        report.ended = Int(statistics.disconnects)
        report.keptBytes = Int(statistics.inbox_bytes + statistics.unread_bytes)
        return report
    }
}
