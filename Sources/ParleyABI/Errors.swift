import CParley
import Parley

/// Each code of parley.h with its ``ParleyError/Code``, its name and its description.
let errorTable: [(code: parley_error, swift: ParleyError.Code?, name: StaticString, text: StaticString)] = [
    (PARLEY_OK, nil, "PARLEY_OK", "success"),
    (PARLEY_EADDRINVAL, .invalidAddress, "PARLEY_EADDRINVAL", "the address or the id is malformed"),
    (PARLEY_EINVAL, .invalidArgument, "PARLEY_EINVAL", "an argument is out of its range"),
    (PARLEY_ENOTSUP, .unsupported, "PARLEY_ENOTSUP", "the wire form in use cannot express this"),
    (PARLEY_EMSGSIZE, .messageTooLong, "PARLEY_EMSGSIZE", "the message is too long"),
    (PARLEY_EALREADY, .alreadyListening, "PARLEY_EALREADY", "the transport is listening already"),
    (PARLEY_EADDRINUSE, .addressInUse, "PARLEY_EADDRINUSE", "another socket holds the address"),
    (
        PARLEY_EADDRNOTAVAIL, .addressNotAvailable, "PARLEY_EADDRNOTAVAIL",
        "the address belongs to no interface of this machine"
    ),
    (PARLEY_ENONAME, .nameNotResolved, "PARLEY_ENONAME", "the name could not be resolved"),
    (PARLEY_ECONNREFUSED, .connectionRefused, "PARLEY_ECONNREFUSED", "nothing listens at the address"),
    (PARLEY_EUNREACH, .unreachable, "PARLEY_EUNREACH", "there is no route to the address"),
    (PARLEY_ETIMEDOUT, .timedOut, "PARLEY_ETIMEDOUT", "a time-out or deadline passed"),
    (PARLEY_ECANCELED, .cancelled, "PARLEY_ECANCELED", "the call was cancelled"),
    (PARLEY_ECLOSED, .closed, "PARLEY_ECLOSED", "this side closed the peer, the stream or the transport"),
    (PARLEY_EOF, .endOfStream, "PARLEY_EOF", "the remote side closed the connection"),
    (PARLEY_ECONNRESET, .connectionReset, "PARLEY_ECONNRESET", "the remote side reset the connection"),
    (
        PARLEY_EPROTO, .protocolViolation, "PARLEY_EPROTO",
        "the bytes that arrived do not follow the wire form"
    ),
    (
        PARLEY_ETRUNCATED, .truncated, "PARLEY_ETRUNCATED",
        "the connection or file ended in the middle of a frame, stream or read"
    ),
    (PARLEY_EHANDSHAKE, .handshakeFailed, "PARLEY_EHANDSHAKE", "the handshake failed"),
    (PARLEY_EREFUSED, .peerRefused, "PARLEY_EREFUSED", "the peer was refused"),
    (PARLEY_EMFILE, .tooManyOpenFiles, "PARLEY_EMFILE", "no file descriptor is left"),
    (PARLEY_EACCES, .permissionDenied, "PARLEY_EACCES", "the operating system forbids it"),
    (PARLEY_EABORTED, .streamAborted, "PARLEY_EABORTED", "the remote side aborted its stream"),
    (PARLEY_ESYSTEM, .system, "PARLEY_ESYSTEM", "the system reported a failure"),
    (PARLEY_EEXIST, .fileExists, "PARLEY_EEXIST", "a file of that name exists already"),
    (PARLEY_ENOENT, .fileNotFound, "PARLEY_ENOENT", "there is no such file or folder"),
    (PARLEY_EMAXPEERS, .tooManyPeers, "PARLEY_EMAXPEERS", "this node's limit on peers is reached"),
    (
        PARLEY_EMAXADDRESS, .tooManyFromAddress, "PARLEY_EMAXADDRESS",
        "the limit on connections of one remote address is reached"
    ),
    (PARLEY_ENOTALLOWED, .notAllowed, "PARLEY_ENOTALLOWED", "the gate refused the address"),
    (PARLEY_EBANNED, .banned, "PARLEY_EBANNED", "the address or the id is banned"),
    (PARLEY_EIDLE, .idle, "PARLEY_EIDLE", "no byte was received or sent for too long"),
    (
        PARLEY_ESTALLED, .writeStalled, "PARLEY_ESTALLED",
        "the remote side acknowledged too little for too long"
    ),
    (PARLEY_EHEARTBEAT, .heartbeatLost, "PARLEY_EHEARTBEAT", "the remote side did not answer heartbeats"),
    (
        PARLEY_EBUFFERFULL, .receiveBufferFull, "PARLEY_EBUFFERFULL",
        "this node's limit on unread bytes is reached"
    ),
    (
        PARLEY_EDUPLICATE, .duplicate, "PARLEY_EDUPLICATE",
        "another connection to the same node was kept instead"
    ),
    (PARLEY_ENOMEM, .outOfMemory, "PARLEY_ENOMEM", "there is no memory for a large buffer"),
    (PARLEY_EREQREFUSED, .requestRefused, "PARLEY_EREQREFUSED", "the other side refused the request"),
    (PARLEY_ESECURITY, .securityFailed, "PARLEY_ESECURITY", "the secured connection failed"),
    (
        PARLEY_EIDENTITY, .invalidIdentity, "PARLEY_EIDENTITY",
        "the file or the bytes hold no usable identity"
    ),
    (
        PARLEY_EIDMISMATCH, .identityMismatch, "PARLEY_EIDMISMATCH",
        "another node answered than the one that was dialed"
    ),
    (PARLEY_EIDREFUSED, .identityNotAllowed, "PARLEY_EIDREFUSED", "this node does not allow the id"),
    (PARLEY_ENOPEER, .noSuchPeer, "PARLEY_ENOPEER", "no peer has this number any more"),
    (
        PARLEY_EDEADLK, .wouldDeadlock, "PARLEY_EDEADLK",
        "the call would block the thread that it waits for"
    ),
    (
        PARLEY_EFORKED, .forked, "PARLEY_EFORKED",
        "the library does not work in a forked child of a process that has used it"
    ),
    (PARLEY_EAGAIN, .wouldBlock, "PARLEY_EAGAIN", "the call would have to wait"),
]

extension StaticString {
    /// String literals end with NUL and live as long as the program.
    fileprivate var cString: UnsafePointer<CChar> {
        UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
}

/// See parley.h.
@c @implementation
public func parley_strerror(_ code: Int32) -> UnsafePointer<CChar>? {
    let text = errorTable.first { $0.code.rawValue == code }?.text
    return (text ?? (code < -1_000 ? "a callback returned a code of its own" : "unknown error")).cString
}

/// See parley.h.
@c @implementation
public func parley_err_name(_ code: Int32) -> UnsafePointer<CChar>? {
    (errorTable.first { $0.code.rawValue == code }?.name ?? "PARLEY_EUNKNOWN").cString
}

// MARK: - Version

/// Written once, never freed.
nonisolated(unsafe) private let versionText: UnsafePointer<CChar> = {
    let text = "\(PARLEY_VERSION_MAJOR).\(PARLEY_VERSION_MINOR).\(PARLEY_VERSION_PATCH)".utf8CString
    let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: text.count)
    pointer.initialize(from: Array(text), count: text.count)
    return UnsafePointer(pointer)
}()

/// See parley.h.
@c @implementation
public func parley_version() -> Int32 {
    PARLEY_VERSION_MAJOR << 16 | PARLEY_VERSION_MINOR << 8 | PARLEY_VERSION_PATCH
}

/// See parley.h.
@c @implementation
public func parley_version_string() -> UnsafePointer<CChar>? { versionText }
