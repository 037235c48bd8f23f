import CParley
import Parley

/// A custom wire form of the program, with its userdata. Freed when no transport and no connection uses it.
final class ForeignWireForm: @unchecked Sendable {
    let functions: parley_decoder
    let name: String

    init(_ pointer: UnsafePointer<parley_decoder>) throws(ParleyError) {
        var functions = parley_decoder()
        var refusal: ParleyError?
        do {
            try copy(pointer, into: &functions, "parley_decoder", "it must be sizeof(parley_decoder)")
        } catch { refusal = error }
        name = functions.name.map { String(cString: $0) } ?? "custom"
        functions.name = nil
        self.functions = functions
        // From here on every failure destroys the userdata.
        if let refusal { throw refusal }
        guard functions.decode != nil, functions.encode_message != nil else {
            throw ParleyError(.invalidArgument, "a decoder needs decode and encode_message")
        }
        guard functions.stream_form.rawValue <= PARLEY_STREAMS_DELIMITED.rawValue else {
            throw ParleyError(.invalidArgument, "there is no stream form \(functions.stream_form.rawValue)")
        }
    }

    deinit { functions.destroy_userdata?(functions.userdata) }

    func wireForm(maxMessageBytes: Int) -> WireForm {
        WireForm(maxMessageBytes: maxMessageBytes) { [self] in ForeignDecoder(self) }
    }
}

/// Decodes or encodes one direction of one connection in a custom wire form.
struct ForeignDecoder: Decoder {
    private let form: ForeignWireForm
    private let state: State

    /// The state that the program created for this direction.
    private final class State: @unchecked Sendable {
        let pointer: UnsafeMutableRawPointer?
        private let form: ForeignWireForm

        init(_ form: ForeignWireForm) {
            self.form = form
            pointer = form.functions.create?(form.functions.userdata)
        }

        deinit { form.functions.destroy?(pointer) }
    }

    init(_ form: ForeignWireForm) {
        self.form = form
        state = State(form)
    }

    var name: String { form.name }

    var streamForm: StreamForm {
        switch form.functions.stream_form {
        case PARLEY_STREAMS_UNTIL_CLOSED: .untilClosed
        case PARLEY_STREAMS_DELIMITED: .delimited
        default: .none
        }
    }
}

// MARK: - Reading

extension ForeignDecoder {
    func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        var found = parley_event()
        let result = input.withUnsafeBufferPointer { bytes in
            form.functions.decode!(state.pointer, bytes.baseAddress, bytes.count, &found)
        }
        guard result >= 0 else {
            let reason = found.reason.map { String(cString: $0) }
            throw ParleyError(.protocolViolation, reason ?? "the \(name) decoder returned \(result)")
        }
        guard (0...input.count).contains(found.consumed) else {
            throw ParleyError(
                .protocolViolation,
                "the \(name) decoder consumed \(found.consumed) of \(input.count) bytes"
            )
        }
        let event = try event(found, input)
        input.removeFirst(found.consumed)
        return event
    }

    private func event(_ found: parley_event, _ input: ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent
    {
        switch found.type {
        case PARLEY_EVENT_MESSAGE: return .message(try payload(found, input))
        case PARLEY_EVENT_STREAM_OPENED: return .streamOpened(header: try payload(found, input))
        case PARLEY_EVENT_STREAM_BYTES: return .streamBytes(try payload(found, input))
        case PARLEY_EVENT_STREAM_ENDED: return .streamEnded
        case PARLEY_EVENT_STREAM_ABORTED:
            let reason = found.reason.map { String(cString: $0) } ?? ""
            return .streamAborted(code: found.abort_code, reason: reason)
        case PARLEY_EVENT_INCOMPLETE: return .incomplete(frameBytes: max(0, found.frame_length))
        default:
            throw ParleyError(
                .protocolViolation,
                "the \(name) decoder returned an event \(found.type.rawValue)"
            )
        }
    }

    private func payload(
        _ found: parley_event,
        _ input: ArraySlice<UInt8>
    ) throws(ParleyError) -> ArraySlice<UInt8> {
        guard found.payload_offset >= 0, found.payload_length >= 0, found.payload_offset <= input.count,
            found.payload_length <= input.count - found.payload_offset
        else { throw ParleyError(.protocolViolation, "the \(name) decoder's payload is outside its input") }
        return input.dropFirst(found.payload_offset).prefix(found.payload_length)
    }
}

// MARK: - Writing

extension ForeignDecoder {
    private typealias Encode =
        (UnsafeMutableRawPointer?, UnsafePointer<UInt8>?, Int, OpaquePointer?) -> Int32

    /// Lets the program append to a separate buffer, which is copied to `output` only if the encoder
    /// succeeds.
    private func append(to output: inout WireBuffer, _ body: (OpaquePointer) -> Int32) throws(ParleyError) {
        let buffer = ForeignBuffer()
        let result = body(handle(buffer))
        guard result >= 0 else {
            let code = ParleyError.Code(rawValue: result)
            throw ParleyError(
                code,
                "the \(name) encoder returned \(result) (\(String(cString: parley_err_name(result)!)))"
            )
        }
        output.append(buffer.bytes)
    }

    private func append(
        _ bytes: ArraySlice<UInt8>,
        to output: inout WireBuffer,
        _ encode: Encode
    ) throws(ParleyError) {
        try append(to: &output) { buffer in
            bytes.withUnsafeBufferPointer { encode(state.pointer, $0.baseAddress, $0.count, buffer) }
        }
    }

    func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        try append(message, to: &output) { form.functions.encode_message!($0, $1, $2, $3) }
    }

    func encodeStreamOpening(header: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        guard streamForm != .none, let encode = form.functions.encode_stream_opening else {
            throw ParleyError(.unsupported, "the \(name) wire form has no streams")
        }
        try append(header, to: &output) { encode($0, $1, $2, $3) }
    }

    func encodeStreamBytes(_ bytes: ArraySlice<UInt8>, into output: inout WireBuffer) {
        guard let encode = form.functions.encode_stream_bytes else { return output.append(bytes) }
        try? append(bytes, to: &output) { state, bytes, count, buffer in
            encode(state, bytes, count, buffer)
            return 0
        }
    }

    func encodeStreamBytesHeader(count: Int, into output: inout WireBuffer) -> Bool {
        form.functions.encode_stream_bytes == nil
    }

    func encodeStreamEnd(into output: inout WireBuffer) {
        guard let encode = form.functions.encode_stream_end else { return }
        try? append(to: &output) { buffer in
            encode(state.pointer, buffer)
            return 0
        }
    }

    func encodeStreamAbort(code: UInt32, reason: String, into output: inout WireBuffer) -> Bool {
        guard let encode = form.functions.encode_stream_abort else { return false }
        try? append(to: &output) { buffer in
            reason.withCString { encode(state.pointer, code, $0, buffer) }
            return 0
        }
        return true
    }
}

/// The object behind a `parley_buffer *`, for the duration of one call.
final class ForeignBuffer {
    fileprivate(set) var bytes: [UInt8] = []

    fileprivate func append(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }
}

/// See parley.h.
@c @implementation
public func parley_buffer_append(_ buffer: OpaquePointer?, _ bytes: UnsafeRawPointer?, _ length: Int) {
    guard let buffer, let bytes, length > 0 else { return }
    let foreign = Unmanaged<ForeignBuffer>.fromOpaque(UnsafeRawPointer(buffer)).takeUnretainedValue()
    foreign.append(UnsafeRawBufferPointer(start: bytes, count: length))
}
