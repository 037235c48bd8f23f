#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// close(2), under a name that a type's own `close` method does not hide.
func closeDescriptor(_ descriptor: Int32) { _ = close(descriptor) }
