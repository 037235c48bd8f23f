#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

// The library's descriptors are above 2. A program that has closed its standard input, output or error may
// open it again at any time, and must not meet a socket of the library there.

/// Moves a new descriptor above 2 when it is one of 0 to 2.
///
/// - Returns: the descriptor to use; -1 on failure, with `errno` set. A negative `descriptor` is returned.
func aboveStandard(_ descriptor: Int32) -> Int32 {
    guard (0...2).contains(descriptor) else { return descriptor }
    let moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    let code = errno
    close(descriptor)
    errno = code
    return moved
}

/// Opens /dev/null on those of the descriptors 0 to 2 that are closed, as programs with privileges do when
/// they start.
///
/// libuv and libdispatch make descriptors of their own, and cannot move them: a loop's would be lost when the
/// program opens its standard input again. libuv aborts when it has to close one of 0 to 2.
package func occupyStandardDescriptors() {
    guard (0...2).contains(where: { fcntl($0, F_GETFD) == -1 && errno == EBADF }) else { return }
    while true {
        var descriptor = open("/dev/null", O_RDWR | O_CLOEXEC)
        // In a chroot(2) without devices.
        if descriptor < 0 { descriptor = open("/", O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0, descriptor <= 2 else {
            if descriptor > 2 { close(descriptor) }
            return
        }
    }
}
