import CParley
import Parley

// The conventions of the boundary, each named once.
//
// - A handle is a retained object: `parley_transport *` is a ``ForeignNode``, `parley_stream *` a
//   ``ForeignStream``, an RPC's `owner` the ``ConsumedRPCs`` it came with.
// - A peer is a number. Each call looks its connection up and keeps it alive until the call returns.
// - Swift functions throw; `status` and `counted` turn errors into codes. See LastError.swift.
// - Pointers that C passes in are read during the call only.
//
// Except for the threads of handshakes, this module makes no decisions: every function translates between C's
// types and a function of Parley.

/// Carries C's pointers, functions and numbers into `@Sendable` closures.
///
/// `@unchecked Sendable`: parley.h says on which threads they are used.
struct Foreign<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// The negative code that a callback returned.
struct ForeignFailure: Error, CustomStringConvertible {
    let code: Int32
    var description: String { "the callback returned \(code) (\(String(cString: parley_err_name(code)!)))" }
}

// MARK: - Handles

/// The object behind a handle. The handle keeps its reference.
///
/// - Parameter name: the parameter's name in parley.h.
func object<Object: AnyObject>(
    _ handle: OpaquePointer?,
    _ name: StaticString,
    _ type: Object.Type
) throws(ParleyError) -> Object {
    guard let handle else { throw null(name) }
    return Unmanaged<Object>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
}

/// The handle of an object, not retained.
func handle(_ object: some AnyObject) -> OpaquePointer {
    OpaquePointer(Unmanaged.passUnretained(object).toOpaque())
}

/// A handle that holds a reference to its object until it is released.
func retainedHandle(_ object: some AnyObject) -> OpaquePointer {
    OpaquePointer(Unmanaged.passRetained(object).toOpaque())
}

/// The object behind a transport's handle.
func node(_ transport: OpaquePointer?) throws(ParleyError) -> ForeignNode {
    try object(transport, "transport", ForeignNode.self)
}

/// The same for a function that needs a transport which is not closed.
func openNode(_ transport: OpaquePointer?) throws(ParleyError) -> ForeignNode {
    let node = try node(transport)
    try node.transport.node.checkOpen()
    return node
}

/// The connection with that number.
func connection(_ transport: OpaquePointer?, _ peer: parley_peer) throws(ParleyError) -> Connection {
    guard let connection = try node(transport).transport.node.connection(peer) else {
        throw noSuchPeer(peer)
    }
    return connection
}

/// Lends the transport's node to `body` without retaining anything. For calls that are made for every
/// message.
@inline(__always)
func withNode<Result>(_ transport: OpaquePointer?, _ body: (Node) throws -> Result) throws -> Result {
    guard let transport else { throw null("transport") }
    let foreign = Unmanaged<ForeignNode>.fromOpaque(UnsafeRawPointer(transport))
    return try foreign._withUnsafeGuaranteedRef { try $0.node._withUnsafeGuaranteedRef(body) }
}

func noSuchPeer(_ peer: parley_peer) -> ParleyError {
    ParleyError(.noSuchPeer, "peer \(peer) is gone")
}

// MARK: - Arguments
//
// `name` is the parameter's name in parley.h: errors speak C.

/// The error for a parameter that must not be NULL.
func null(_ name: StaticString) -> ParleyError { ParleyError(.invalidArgument, "\(name) is NULL") }

/// Throws for a `size_t` that is larger than any object in memory. Swift imports it as a negative number.
func checkSize(_ size: Int, _ name: StaticString) throws(ParleyError) {
    guard size >= 0 else {
        throw ParleyError(.invalidArgument, "\(name) is \(UInt(bitPattern: size)), above PTRDIFF_MAX")
    }
}

/// Checks bytes that C passes in. They are not copied.
///
/// - Parameter lengthName: the name of their length in parley.h.
func borrowedBytes(
    _ pointer: UnsafeRawPointer?,
    _ length: Int,
    _ name: StaticString,
    _ lengthName: StaticString = "length"
) throws(ParleyError) -> UnsafeRawBufferPointer {
    try checkSize(length, lengthName)
    guard length == 0 || pointer != nil else {
        throw ParleyError(.invalidArgument, "\(name) is NULL, but \(lengthName) is \(length)")
    }
    return UnsafeRawBufferPointer(start: length == 0 ? nil : pointer, count: length)
}

/// Copies bytes that C passes in. Throws `outOfMemory` when there is no memory for a large copy.
func bytes(
    _ pointer: UnsafeRawPointer?,
    _ length: Int,
    _ name: StaticString,
    _ lengthName: StaticString = "length"
) throws(ParleyError) -> ArraySlice<UInt8> {
    let borrowed = try borrowedBytes(pointer, length, name, lengthName)
    guard !borrowed.isEmpty else { return [] }
    try AvailableMemory.check(length, for: "a copy")
    return [UInt8](borrowed)[...]
}

/// Copies the fields that the program knows of a struct that begins with its size. The other fields keep
/// their value. A newer program's struct has fields that this library does not know: they have to be zero.
/// What it does know is copied also when they are not, and an error is thrown.
///
/// - Parameter reserved: how many bytes at the end of the struct are reserved. They have to be zero too: a
///   newer program may have a field there.
func copy<Value>(
    _ pointer: UnsafePointer<Value>,
    into value: inout Value,
    reserved: Int = 0,
    _ name: String,
    _ advice: String
) throws(ParleyError) {
    let size = UnsafeRawPointer(pointer).load(as: UInt.self)
    let known = MemoryLayout<Value>.size - reserved
    // No version's struct is larger; its fields cannot be read then.
    let sizes = UInt(MemoryLayout<UInt>.size)...UInt(64 * known)
    guard sizes.contains(size) else {
        throw ParleyError(
            .invalidArgument,
            "\(name).size is \(size), outside \(sizes.lowerBound) to \(sizes.upperBound): \(advice)"
        )
    }
    // A size that is no multiple of the alignment may end inside of a pointer.
    let unit = UInt(MemoryLayout<Value>.alignment)
    guard size.isMultiple(of: unit) else {
        throw ParleyError(.invalidArgument, "\(name).size is \(size), no multiple of \(unit): \(advice)")
    }
    let given = UnsafeRawBufferPointer(start: pointer, count: Int(size))
    withUnsafeMutableBytes(of: &value) { copy in
        copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: given.prefix(known)))
    }
    if let unknown = given.dropFirst(known).firstIndex(where: { $0 != 0 }) {
        throw ParleyError(
            .invalidArgument,
            "byte \(unknown) of \(name) is set: this library knows \(known) bytes, and the rest must be 0"
        )
    }
}

/// Copies a text that C passes in.
func text(_ pointer: UnsafePointer<CChar>?, _ name: StaticString) throws(ParleyError) -> String {
    guard let pointer else { throw null(name) }
    guard let text = String(validatingCString: pointer) else {
        throw ParleyError(.invalidArgument, "\(name) is not UTF-8: \"\(String(cString: pointer))\"")
    }
    return text
}

/// The id whose text C passes in.
func peerID(_ pointer: UnsafePointer<CChar>?, _ name: StaticString) throws(ParleyError) -> PeerID {
    try PeerID(try text(pointer, name))
}

extension Duration {
    /// Stands for "never" where a duration is required. A clock can still add it to the current time.
    static let century = Duration.seconds(100 * 365 * 86_400)
}

/// The pointer through which a result is returned.
func output<Value>(
    _ pointer: UnsafeMutablePointer<Value>?,
    _ name: StaticString
) throws(ParleyError) -> UnsafeMutablePointer<Value> {
    guard let pointer else { throw null(name) }
    return pointer
}

/// A duration in milliseconds; nil for PARLEY_FOREVER.
@inline(__always)
func duration(_ milliseconds: Int32, _ name: StaticString) throws(ParleyError) -> Duration? {
    switch milliseconds {
    case PARLEY_FOREVER: nil
    case 0...: .milliseconds(Int64(milliseconds))
    default: throw ParleyError(.invalidArgument, "\(name) is \(milliseconds), below PARLEY_FOREVER")
    }
}

extension WaitLimit {
    /// The time-out of a blocking function.
    init(milliseconds: Int32) throws(ParleyError) {
        self =
            milliseconds == 0 ? .none : .until(try duration(milliseconds, "timeout_ms").map { .now + $0 })
    }
}

// MARK: - Results

/// Fills a buffer as snprintf(3) does. Returns the length of the whole text.
func fill(
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int,
    with text: String
) throws(ParleyError) -> Int32 {
    try checkSize(size, "size")
    var text = text
    return text.withUTF8 { utf8 in
        if let buffer, size > 0 {
            let count = min(utf8.count, size - 1)
            UnsafeMutableRawPointer(buffer).copyMemory(
                from: UnsafeRawPointer(utf8.baseAddress!),
                byteCount: count
            )
            buffer[count] = 0
        }
        return Int32(clamping: utf8.count)
    }
}

// MARK: - Waiting

/// Throws `wouldDeadlock` on an event loop's thread.
func checkMayBlock(_ what: String) throws(ParleyError) {
    guard !EventLoop.isCurrentThreadALoop else {
        throw ParleyError(.wouldDeadlock, "\(what) would block an event loop's thread")
    }
}

/// A result that another thread provides, for the thread that makes this and waits.
final class Outcome<Success: Sendable>: Sendable {
    private let result = Lock<Result<Success, any Error>?>(nil)
    private let parker = ThreadParker.take()

    func finish(_ outcome: Result<Success, any Error>) {
        result.withLock { $0 = outcome }
        parker.wake()
    }

    /// Blocks until there is a result. Returns false when `deadline` passes first.
    func wait(until deadline: MonotonicTime? = nil) -> Bool {
        guard parker.wait(until: deadline) else { return false }
        ThreadParker.keep(parker)
        return true
    }

    /// The result, after ``wait(until:)`` has returned true.
    func get() throws -> Success { try result.withLock { $0! }.get() }
}

/// Blocks the thread until an asynchronous function has returned.
func blocking<Success: Sendable>(
    _ what: String,
    _ body: @escaping @Sendable () async throws -> Success
) throws -> Success {
    try checkMayBlock(what)
    // Swift's pool makes descriptors when it starts.
    occupyStandardDescriptors()
    let outcome = Outcome<Success>()
    // A task releases what `body` captures before its value is available, so the caller finds it released.
    // The threads of Swift's pool belong to this library: they start without the program's signals.
    LibraryThread.withSignalsBlocked {
        let task = Task.detached { try await body() }
        Task.detached { outcome.finish(await task.result) }
    }
    _ = outcome.wait()
    return try outcome.get()
}
