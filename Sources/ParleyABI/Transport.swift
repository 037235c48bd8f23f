import CParley
import Parley

// Creating, listening, closing and freeing. parley.h documents each function.

/// See parley.h.
@c @implementation
public func parley_create(
    _ options: UnsafePointer<parley_options>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    out?.pointee = nil
    return outcome {
        var foreign = parley_options()
        do {
            try foreign.read(options)
            // The decoder's userdata has an owner from here on, which destroys it when a later step fails.
            let options = try TransportOptions(foreign)
            try ForkedChild.check()
            _ = preparedForChildren
            let out = try output(out, "out")
            out.pointee = retainedHandle(ForeignNode(foreign, options))
        } catch {
            foreign.destroy_userdata?(foreign.userdata)
            throw error
        }
    }
}

/// Makes what a forked child may use. Otherwise it would be made at its first use, in the child too, and the
/// child could wait for ever for a lock of the Swift runtime: a thread that held it at the fork is not there
/// to let go of it.
private let preparedForChildren: Void = {
    _ = parley_last_remote_code()
    precondition(parley_err_name(0) != nil && parley_version_string() != nil)
}()

/// See parley.h.
@c @implementation
public func parley_listen(_ transport: OpaquePointer?) -> Int32 {
    status {
        let node = try node(transport)
        try blocking("listening") { try await node.transport.listenAndAccept() }
    }
}

/// See parley.h.
@c @implementation
public func parley_stop_listening(_ transport: OpaquePointer?) -> Int32 {
    status {
        let node = try node(transport)
        try blocking("stopping to listen") { await node.transport.stopListening() }
    }
}

/// See parley.h.
@c @implementation
public func parley_address(
    _ transport: OpaquePointer?,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted { try fill(buffer, size, with: node(transport).transport.address) }
}

/// See parley.h.
@c @implementation
public func parley_id(
    _ transport: OpaquePointer?,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted {
        let id = try node(transport).transport.node.options.security.id
        return try fill(buffer, size, with: id?.description ?? "")
    }
}

/// See parley.h.
@c @implementation
public func parley_close(_ transport: OpaquePointer?) -> Int32 {
    status { try node(transport).close() }
}

/// See parley.h.
@c @implementation
public func parley_free(_ transport: OpaquePointer?) -> Int32 {
    guard let transport else { return PARLEY_OK.rawValue }
    return status {
        let node = try node(transport)
        try node.close()
        node.destroyUserdata()
        Unmanaged<ForeignNode>.fromOpaque(UnsafeRawPointer(transport)).release()
    }
}

/// See parley.h.
@c @implementation
public func parley_post(
    _ transport: OpaquePointer?,
    _ function: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        let node = try node(transport)
        guard let function else { throw null("function") }
        let call = Foreign((function, argument))
        try node.transport.node.loop.start()
        guard node.transport.node.loop.execute({ call.value.0(call.value.1) }) else {
            throw ParleyError(.closed, "the transport is closed")
        }
    }
}
