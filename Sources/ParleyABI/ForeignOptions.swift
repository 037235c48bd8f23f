import CParley
import Parley

extension parley_options {
    /// Copies the fields that the program knows; what it does not know is zero, and so the default.
    init(_ pointer: UnsafePointer<parley_options>?) throws(ParleyError) {
        self.init()
        guard let pointer else { return }
        let size = UnsafeRawPointer(pointer).load(as: Int.self)
        guard size >= MemoryLayout<Int>.size else {
            throw ParleyError(
                .invalidArgument,
                "parley_options.size is \(size): begin with PARLEY_OPTIONS_INIT"
            )
        }
        withUnsafeMutableBytes(of: &self) { copy in
            copy.copyMemory(
                from: UnsafeRawBufferPointer(
                    start: pointer,
                    count: min(size, MemoryLayout<parley_options>.size)
                )
            )
        }
    }
}

extension TransportOptions {
    /// The options in Swift's terms; callbacks and log are ``ForeignNode``'s.
    init(_ foreign: parley_options) throws(ParleyError) {
        self.init(
            listenAddress: foreign.listen_address.map { String(cString: $0) } ?? ":0",
            decoder: try WireForm(foreign)
        )
        try set(\.inboxCapacity, foreign.inbox_capacity, "inbox_capacity")
        try set(\.inboxCapacityBytes, foreign.inbox_capacity_bytes, "inbox_capacity_bytes")
        try set(\.sendHighWaterBytes, foreign.send_high_water_bytes, "send_high_water_bytes")
        try set(\.sendLowWaterBytes, foreign.send_low_water_bytes, "send_low_water_bytes")
        if let timeout = try timeout(foreign.dial_timeout_ms, "dial_timeout_ms") { dialTimeout = timeout }
        if let timeout = try timeout(foreign.handshake_timeout_ms, "handshake_timeout_ms") {
            handshakeTimeout = timeout
        }
        if let timeout = try timeout(foreign.stream_idle_timeout_ms, "stream_idle_timeout_ms") {
            streamIdleTimeout = timeout
        }
        if let timeout = try timeout(foreign.close_timeout_ms, "close_timeout_ms") { closeTimeout = timeout }
        keepAlive = try KeepAlive(foreign)
        guard foreign.log_level.rawValue <= PARLEY_LOG_CRITICAL.rawValue else {
            throw ParleyError(.invalidArgument, "there is no log level \(foreign.log_level.rawValue)")
        }
    }

    private mutating func set(
        _ option: WritableKeyPath<TransportOptions, Int>,
        _ value: Int,
        _ name: String
    ) throws(ParleyError) {
        guard value >= 0 else { throw ParleyError(.invalidArgument, "\(name) is above SSIZE_MAX") }
        if value > 0 { self[keyPath: option] = value }
    }

    /// Nil for the default.
    private func timeout(_ milliseconds: Int32, _ name: String) throws(ParleyError) -> Duration? {
        switch milliseconds {
        case 0: nil
        // A century: what any clock can still count.
        case PARLEY_FOREVER: .seconds(100 * 365 * 86_400)
        case 1...: .milliseconds(Int64(milliseconds))
        default: throw ParleyError(.invalidArgument, "\(name) is \(milliseconds)")
        }
    }
}

extension KeepAlive {
    /// Nil when it is turned off.
    fileprivate init?(_ foreign: parley_options) throws(ParleyError) {
        if foreign.keepalive_idle_s == -1 { return nil }
        self.init()
        guard foreign.keepalive_idle_s >= 0, foreign.keepalive_interval_s >= 0, foreign.keepalive_count >= 0
        else { throw ParleyError(.invalidArgument, "a keep-alive option is negative") }
        if foreign.keepalive_idle_s > 0 { idle = .seconds(Int64(foreign.keepalive_idle_s)) }
        if foreign.keepalive_interval_s > 0 { interval = .seconds(Int64(foreign.keepalive_interval_s)) }
        if foreign.keepalive_count > 0 { count = Int(foreign.keepalive_count) }
    }
}

extension WireForm {
    fileprivate init(_ foreign: parley_options) throws(ParleyError) {
        // Made first: whatever else is wrong, its data is given back.
        var own: ForeignWireForm?
        if let decoder = foreign.decoder { own = try ForeignWireForm(decoder) }
        guard let limit = UInt32(exactly: foreign.max_message_bytes) else {
            throw ParleyError(
                .invalidArgument,
                "max_message_bytes is \(foreign.max_message_bytes), above 32 bits"
            )
        }
        let maxMessageBytes = limit == 0 ? FramedDecoder.defaultMaxMessageBytes : Int(limit)
        if let own {
            self = own.wireForm(maxMessageBytes: maxMessageBytes)
            return
        }
        switch foreign.codec {
        case PARLEY_CODEC_DEFAULT: self = .default
        case PARLEY_CODEC_FRAMED: self = .framed(maxMessageBytes: maxMessageBytes)
        case PARLEY_CODEC_GOB: self = .gob(maxMessageBytes: maxMessageBytes, encoding: .selfContained)
        case PARLEY_CODEC_GOB_ONCE: self = .gob(maxMessageBytes: maxMessageBytes, encoding: .onePerConnection)
        default: throw ParleyError(.invalidArgument, "there is no codec \(foreign.codec.rawValue)")
        }
    }
}
