import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

// libuv's error codes as errors of this library.

extension ParleyError {
    /// Makes the error for a libuv status. `what` says what failed, for example "cannot listen on :3000".
    ///
    /// Source: <https://docs.libuv.org/en/v1.x/errors.html>
    package init(libuv status: Int32, _ what: String) {
        let reason = String(cString: uv_strerror(status))
        self.init(Code(libuv: status), "\(what): \(reason)", systemCode: status)
    }

    /// The same for a system call that has failed with this `errno`.
    package init(errno: Int32, _ what: String) { self.init(libuv: uv_translate_sys_error(errno), what) }

    /// The same for getaddrinfo(3).
    ///
    /// - Parameters:
    ///   - status: what it returned, other than 0.
    ///   - errno: a cause that counts more than `status`; 0 when there is none.
    init(lookup status: Int32, errno: Int32, _ what: String) {
        if errno != 0 {
            self.init(errno: errno, what)
            return
        }
        let code =
            switch status {
            case EAI_AGAIN: UV_EAI_AGAIN
            case EAI_BADFLAGS: UV_EAI_BADFLAGS
            case EAI_FAMILY: UV_EAI_FAMILY
            case EAI_MEMORY: UV_EAI_MEMORY
            case EAI_NONAME: UV_EAI_NONAME
            case EAI_SERVICE: UV_EAI_SERVICE
            case EAI_SOCKTYPE: UV_EAI_SOCKTYPE
            #if os(Linux)
                // EAI_NODATA and EAI_ADDRFAMILY, which <netdb.h> hides.
                case -5: UV_EAI_NODATA
                case -9: UV_EAI_ADDRFAMILY
            #endif
            default: UV_EAI_FAIL
            }
        self.init(libuv: code.rawValue, what)
    }
}

extension ParleyError.Code {
    /// The code for a libuv status; `system` for statuses without a code of their own.
    init(libuv status: Int32) {
        self =
            switch uv_errno_t(rawValue: status) {
            case UV_EADDRINUSE: .addressInUse
            case UV_EADDRNOTAVAIL, UV_EAFNOSUPPORT: .addressNotAvailable
            case UV_ECONNREFUSED: .connectionRefused
            case UV_ENETUNREACH, UV_EHOSTUNREACH, UV_ENETDOWN: .unreachable
            case UV_ETIMEDOUT: .timedOut
            case UV_ECANCELED: .cancelled
            case UV_EOF: .endOfStream
            case UV_ECONNRESET, UV_EPIPE, UV_ECONNABORTED: .connectionReset
            case UV_EMFILE, UV_ENFILE: .tooManyOpenFiles
            case UV_ENOMEM: .outOfMemory
            case UV_EACCES, UV_EPERM: .permissionDenied
            case UV_EEXIST: .fileExists
            case UV_ENOENT: .fileNotFound
            case UV_EINVAL: .invalidArgument
            case UV_EAI_NONAME, UV_EAI_NODATA, UV_EAI_AGAIN, UV_EAI_FAIL, UV_EAI_ADDRFAMILY, UV_EAI_FAMILY:
                .nameNotResolved
            default: .system
            }
    }
}
