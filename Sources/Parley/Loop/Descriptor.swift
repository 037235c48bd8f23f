#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// close(2), by a name that no class's own `close` hides.
func closeDescriptor(_ descriptor: Int32) { _ = close(descriptor) }
