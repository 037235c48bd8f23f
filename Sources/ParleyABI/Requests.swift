import CParley
import Parley

// Requests and their answers. parley.h documents each function.

/// Owns the bytes of an answer that a program has.
private final class AnswerOwner: Sendable {
    private let payload: ArraySlice<UInt8>

    init(_ payload: ArraySlice<UInt8>) { self.payload = payload }

    /// The bytes. They stay valid while this object lives, because the storage of an array does not move.
    var bytes: UnsafeBufferPointer<UInt8> { payload.withUnsafeBufferPointer { $0 } }
}

extension parley_answer {
    /// A reply, or why there is none.
    private init(_ answer: Result<ArraySlice<UInt8>, ParleyError>, _ payload: UnsafeBufferPointer<UInt8>) {
        self.init()
        self.payload = payload.isEmpty ? nil : payload.baseAddress
        length = payload.count
        guard case .failure(let error) = answer else { return }
        result = error.code.rawValue
        code = error.remoteCode ?? 0
        // Without the NUL at its end.
        length -= 1
    }

    /// What a forked child gets. It needs no memory of its own.
    fileprivate static var forked: parley_answer {
        let why: StaticString = "the library does not work in a forked child"
        var answer = parley_answer()
        answer.result = PARLEY_EFORKED.rawValue
        answer.payload = why.utf8Start
        answer.length = why.utf8CodeUnitCount
        return answer
    }

    /// The bytes of a reply, or the sentence that says why there is none, with a NUL.
    private static func payload(_ answer: Result<ArraySlice<UInt8>, ParleyError>) -> ArraySlice<UInt8> {
        switch answer {
        case .success(let reply): reply
        case .failure(let error): Array(error.message.utf8CString).map { UInt8(bitPattern: $0) }[...]
        }
    }

    /// Lends an answer for the length of `body`.
    fileprivate static func lend(
        _ answer: Result<ArraySlice<UInt8>, ParleyError>,
        _ body: (UnsafePointer<parley_answer>) -> Void
    ) {
        payload(answer).withUnsafeBufferPointer { bytes in
            withUnsafePointer(to: parley_answer(answer, bytes)) { body($0) }
        }
    }

    /// An answer that the program releases.
    fileprivate static func owned(_ answer: Result<ArraySlice<UInt8>, ParleyError>) -> parley_answer {
        let owner = AnswerOwner(payload(answer))
        var made = parley_answer(answer, owner.bytes)
        made.owner = Unmanaged.passRetained(owner).toOpaque()
        return made
    }
}

/// See parley.h.
@c @implementation
public func parley_request(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ message: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32,
    _ answer: UnsafeMutablePointer<parley_answer>?
) -> Int32 {
    // Filled in any case.
    answer?.pointee = ForkedChild.isThisProcess ? .forked : parley_answer()
    return status {
        let place = try output(answer, "answer")
        do throws(ParleyError) {
            let connection = try connection(transport, peer)
            let message = try checkedMessage(connection.node, message, length, "message")
            let limit = try WaitLimit(milliseconds: timeout_ms)
            place.pointee = .owned(.success(try connection.request(message, limit)))
        } catch {
            place.pointee = .owned(.failure(error))
            throw error
        }
    }
}

/// See parley.h.
@c @implementation
public func parley_request_async(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ message: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32,
    _ done: (
        @convention(c) (OpaquePointer?, parley_peer, UnsafePointer<parley_answer>?, UnsafeMutableRawPointer?)
            -> Void
    )?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        guard let done else { throw null("done") }
        let node = try node(transport)
        let connection = try connection(transport, peer)
        let message = try checkedMessage(connection.node, message, length, "message")
        let timeout = try duration(timeout_ms, "timeout_ms")
        let call = Foreign((done, argument))
        try connection.request(message, timeout: timeout) { answer in
            parley_answer.lend(answer) { call.value.0(handle(node), connection.number, $0, call.value.1) }
        }
    }
}

/// See parley.h.
@c @implementation
public func parley_answer_release(_ answer: UnsafeMutablePointer<parley_answer>?) {
    guard let answer, let owner = answer.pointee.owner else { return }
    answer.pointee = parley_answer()
    // In a forked child the memory is given up: freeing it could take locks.
    if ForkedChild.isThisProcess { return }
    Unmanaged<AnswerOwner>.fromOpaque(owner).release()
}

/// See parley.h.
@c @implementation
public func parley_reply(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ request: UInt32,
    _ message: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let limit = try WaitLimit(milliseconds: timeout_ms)
        let connection = try connection(transport, peer)
        let message = try checkedMessage(connection.node, message, length, "message")
        try connection.reply(to: request, with: message, limit)
    }
}

/// See parley.h.
@c @implementation
public func parley_refuse(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ request: UInt32,
    _ code: UInt32,
    _ reason: UnsafePointer<CChar>?,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let limit = try WaitLimit(milliseconds: timeout_ms)
        let connection = try connection(transport, peer)
        let reason = reason.map { String(cString: $0) } ?? ""
        try connection.refuse(request, code: code, reason: reason, limit)
    }
}
