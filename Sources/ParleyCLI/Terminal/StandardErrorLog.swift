import Logging
import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What the transport logs, on standard error. The thread that logs never waits for whoever reads it.
struct StandardErrorLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let now = UTCTime(Timestamp(seconds: Int64(time(nil)), nanoseconds: 0)).text
        Console.log("\(now) \(event.level): \(event.text(with: metadata))")
    }
}
