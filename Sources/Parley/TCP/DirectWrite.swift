// A send's second way to the socket: on the sender's own thread, past the loop.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension WireBuffer {
    /// Writes what it can to the socket, past the event loop and without blocking, and removes that from the
    /// buffer. Any thread. The caller makes sure that no other thread writes or seals, and that the socket
    /// stays open.
    ///
    /// On a secured link all of the buffer is sealed, and removed: what the socket does not take of that must
    /// be written as it is.
    ///
    /// Linux only: elsewhere a send on an application's thread could raise SIGPIPE.
    ///
    /// - Parameter proven: who the bytes are sealed for; nil on a link without security.
    /// - Returns: what was written. Nothing on failure: the loop's next write reports it.
    @inline(__always)
    mutating func writeDirectly(
        to socket: Int32,
        sealedFor proven: Connection.Proven?,
        keeping kept: Int = idleBytes
    ) -> SendQueue.DirectWrite {
        #if os(Linux)
            guard segments.isEmpty else { return .written(0) }
            if let proven { return writeSealed(to: socket, for: proven, keeping: kept) }
            let written = tail.withBytes { $0.send(to: socket) }
            guard written > 0 else { return .written(0) }
            removeFirst(written, keeping: kept)
            return .written(written)
        #else
            return .written(0)
        #endif
    }

    #if os(Linux)
        @inline(never)
        private mutating func writeSealed(
            to socket: Int32,
            for proven: Connection.Proven,
            keeping kept: Int
        ) -> SendQueue.DirectWrite {
            var sealed: [UInt8] = []
            guard let session = proven.session else { return .written(0) }
            // A session that has failed stays so: the link's next write reports it.
            do { try session.seal(self, into: &sealed) } catch { return .written(0) }
            removeAll(keeping: kept)
            let written = max(0, sealed.withUnsafeBytes { $0.send(to: socket) })
            proven.noteSent(UInt64(written))
            sealed.removeFirst(written)
            return .sealed(rest: sealed)
        }
    #endif
}

#if os(Linux)
    extension UnsafeRawBufferPointer {
        /// Sends what the socket takes at once. Returns how many bytes, or a negative number on failure.
        @inline(__always)
        fileprivate func send(to socket: Int32) -> Int {
            let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
            #if canImport(Musl)
                return Musl.send(socket, baseAddress, count, flags)
            #else
                return Glibc.send(socket, baseAddress, count, flags)
            #endif
        }
    }
#endif
