import CParley
import Parley
import ParleyNoise

// Identities and their ids. parley.h documents each function.

/// The object that a `parley_identity *` points to.
final class ForeignIdentity: Sendable {
    let identity: Identity
    init(_ identity: Identity) { self.identity = identity }
}

private func identity(_ handle: OpaquePointer?) throws(ParleyError) -> Identity {
    try object(handle, "identity", ForeignIdentity.self).identity
}

/// Returns what `make` makes through `out`, which is NULL when it fails.
private func provide(
    _ out: UnsafeMutablePointer<OpaquePointer?>?,
    _ make: () throws(ParleyError) -> Identity
) -> Int32 {
    status {
        let out = try output(out, "out")
        out.pointee = nil
        out.pointee = retainedHandle(ForeignIdentity(try make()))
    }
}

/// See parley.h.
@c @implementation
public func parley_identity_generate(_ out: UnsafeMutablePointer<OpaquePointer?>?) -> Int32 {
    provide(out) { Identity() }
}

/// See parley.h.
@c @implementation
public func parley_identity_load(
    _ path: UnsafePointer<CChar>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    provide(out) { () throws(ParleyError) in try .load(from: try text(path, "path")) }
}

/// See parley.h.
@c @implementation
public func parley_identity_load_or_create(
    _ path: UnsafePointer<CChar>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    provide(out) { () throws(ParleyError) in try .loadOrCreate(at: try text(path, "path")) }
}

/// See parley.h.
@c @implementation
public func parley_identity_import(
    _ bytes: UnsafeRawPointer?,
    _ length: Int,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    provide(out) { () throws(ParleyError) in
        let borrowed = try borrowedBytes(bytes, length, "bytes")
        // Bytes beyond the longest form are not copied: the rest is no identity anyway.
        var copy = [UInt8](borrowed.prefix(Identity.maxBytes + 1))
        return try Identity(wiping: &copy)
    }
}

/// See parley.h.
@c @implementation
public func parley_identity_save(_ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> Int32 {
    status { try identity(handle).save(to: try text(path, "path")) }
}

/// See parley.h.
@c @implementation
public func parley_identity_export(
    _ handle: OpaquePointer?,
    _ buffer: UnsafeMutableRawPointer?,
    _ size: Int
) -> Int32 {
    counted {
        let identity = try identity(handle)
        guard let buffer else { throw null("buffer") }
        try checkSize(size, "size")
        return try identity.withPrivateKey { (key) throws(ParleyError) in
            guard size >= key.count else {
                throw ParleyError(.invalidArgument, "size is \(size), but the key has \(key.count) bytes")
            }
            key.withUnsafeBytes { buffer.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            return Int32(key.count)
        }
    }
}

/// See parley.h.
@c @implementation
public func parley_identity_id(
    _ handle: OpaquePointer?,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted { try fill(buffer, size, with: identity(handle).id.description) }
}

/// See parley.h.
@c @implementation
public func parley_identity_free(_ handle: OpaquePointer?) {
    guard let handle else { return }
    Unmanaged<ForeignIdentity>.fromOpaque(UnsafeRawPointer(handle)).release()
}

/// See parley.h.
@c @implementation
public func parley_id_parse(
    _ text: UnsafePointer<CChar>?,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted { try fill(buffer, size, with: peerID(text, "text").description) }
}
