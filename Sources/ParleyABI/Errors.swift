import CParley
import Parley

/// The codes, their names and what they mean: those of ``ParleyError/Code`` under the names of C.
let errorTable: [(code: parley_error, swift: ParleyError.Code?, name: StaticString, text: StaticString)] = [
    (PARLEY_OK, nil, "PARLEY_OK", "success"),
    (PARLEY_EADDRINVAL, .invalidAddress, "PARLEY_EADDRINVAL", "the address is not of the form host:port"),
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
    (PARLEY_ECONNREFUSED, .connectionRefused, "PARLEY_ECONNREFUSED", "nobody listens there"),
    (PARLEY_EUNREACH, .unreachable, "PARLEY_EUNREACH", "no route leads there"),
    (PARLEY_ETIMEDOUT, .timedOut, "PARLEY_ETIMEDOUT", "a timeout or deadline passed"),
    (PARLEY_ECANCELED, .cancelled, "PARLEY_ECANCELED", "the call was given up"),
    (PARLEY_ECLOSED, .closed, "PARLEY_ECLOSED", "this side closed the peer or the transport"),
    (PARLEY_EOF, .endOfStream, "PARLEY_EOF", "the remote side closed the connection"),
    (PARLEY_ECONNRESET, .connectionReset, "PARLEY_ECONNRESET", "the remote side reset the connection"),
    (
        PARLEY_EPROTO, .protocolViolation, "PARLEY_EPROTO",
        "the bytes that arrived do not follow the wire form"
    ),
    (PARLEY_ETRUNCATED, .truncated, "PARLEY_ETRUNCATED", "it ended in the middle of something"),
    (PARLEY_EHANDSHAKE, .handshakeFailed, "PARLEY_EHANDSHAKE", "the handshake failed"),
    (PARLEY_EREFUSED, .peerRefused, "PARLEY_EREFUSED", "the peer was refused"),
    (PARLEY_EMFILE, .tooManyOpenFiles, "PARLEY_EMFILE", "no file descriptor is left"),
    (PARLEY_EACCES, .permissionDenied, "PARLEY_EACCES", "the operating system forbids it"),
    (PARLEY_EABORTED, .streamAborted, "PARLEY_EABORTED", "the stream was given up before its end"),
    (PARLEY_ESYSTEM, .system, "PARLEY_ESYSTEM", "the system reported a failure"),
    (PARLEY_EEXIST, .fileExists, "PARLEY_EEXIST", "there is a file of that name already"),
    (PARLEY_ENOENT, .fileNotFound, "PARLEY_ENOENT", "there is no such file or folder"),
    (PARLEY_EMAXPEERS, .tooManyPeers, "PARLEY_EMAXPEERS", "a limit of this node on peers is reached"),
    (
        PARLEY_EMAXADDRESS, .tooManyFromAddress, "PARLEY_EMAXADDRESS",
        "the remote address has as many connections as one may"
    ),
    (PARLEY_ENOTALLOWED, .notAllowed, "PARLEY_ENOTALLOWED", "the gate does not let this address in"),
    (PARLEY_EBANNED, .banned, "PARLEY_EBANNED", "the address is banned"),
    (PARLEY_EIDLE, .idle, "PARLEY_EIDLE", "nothing went either way for too long"),
    (PARLEY_ESTALLED, .writeStalled, "PARLEY_ESTALLED", "the other side took nothing of what was sent"),
    (PARLEY_EHEARTBEAT, .heartbeatLost, "PARLEY_EHEARTBEAT", "the other side did not answer heartbeats"),
    (PARLEY_EBUFFERFULL, .receiveBufferFull, "PARLEY_EBUFFERFULL", "the node holds too many unread bytes"),
    (PARLEY_EDUPLICATE, .duplicate, "PARLEY_EDUPLICATE", "another connection with the same node stays"),
    (PARLEY_ENOPEER, .noSuchPeer, "PARLEY_ENOPEER", "no peer has this number any more"),
    (
        PARLEY_EDEADLK, .wouldDeadlock, "PARLEY_EDEADLK",
        "the call would block the thread whose work it waits for"
    ),
    (PARLEY_EAGAIN, .wouldBlock, "PARLEY_EAGAIN", "the call would have to wait"),
]

extension StaticString {
    /// Literals end with NUL, and live as long as the program.
    fileprivate var cString: UnsafePointer<CChar> {
        UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
}

/// See parley.h.
@c @implementation
public func parley_strerror(_ code: Int32) -> UnsafePointer<CChar>? {
    let text = errorTable.first { $0.code.rawValue == code }?.text
    return (text ?? (code < -1_000 ? "a callback reported a failure of its own" : "unknown error")).cString
}

/// See parley.h.
@c @implementation
public func parley_err_name(_ code: Int32) -> UnsafePointer<CChar>? {
    (errorTable.first { $0.code.rawValue == code }?.name ?? "PARLEY_EUNKNOWN").cString
}

// MARK: - Version

/// Never changed, never freed.
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
