import CLinux
import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// The memory, threads and descriptors of a process, read from /proc. On systems other than Linux all are 0.
public struct ProcessGauges: Sendable {
    /// Resident memory, in bytes.
    public var residentBytes: Int
    /// The peak of resident memory, in bytes.
    public var peakBytes: Int
    // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
    public var threads: Int
    /// The number of open descriptors.
    public var descriptors: Int

    /// Reads the gauges now; nil when the process does not exist.
    public init?(of process: Int32 = getpid()) {
        let folder = "/proc/\(process)"
        guard let status = try? String(contentsOfFile: "\(folder)/status", encoding: .utf8) else {
            return nil
        }
        func number(_ field: String) -> Int {
            let line = status.split(separator: "\n").first { $0.hasPrefix(field + ":") }
            let words = line?.split(whereSeparator: { $0 == " " || $0 == "\t" })
            return (words?.dropFirst().first).flatMap { Int($0) } ?? 0
        }
        residentBytes = number("VmRSS") * 1024
        peakBytes = number("VmHWM") * 1024
        threads = number("Threads")
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/fd")) ?? []
        // In this process one descriptor is the folder that is being read.
        descriptors = max(0, entries.count - (process == getpid() ? 1 : 0))
    }

    /// The bytes that are allocated from the heap, after the heap has returned what it can to the system.
    /// Unlike resident memory it does not depend on fragmentation.
    public static var heapBytes: Int {
        #if canImport(Glibc)
            malloc_trim(0)
            let info = mallinfo2()
            return Int(info.uordblks + info.hblkhd)
        #else
            return 0
        #endif
    }
}

/// The targets of this process's descriptors: `socket:[4711]`, `pipe:[4712]`, or a path.
public func openDescriptors() -> [Int: String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return names.reduce(into: [:]) { open, name in
        // The descriptor of the folder itself is closed by now.
        guard
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)"),
            let number = Int(name)
        else { return }
        open[number] = target
    }
}

/// `12.3 MiB`
public func mebibytes(_ bytes: Int) -> String { String(format: "%.1f MiB", Double(bytes) / Double(1 << 20)) }

/// The time since this moment, in seconds.
public func seconds(since start: ContinuousClock.Instant) -> Double { start.duration(to: .now) / .seconds(1) }

/// Prints a line and flushes it.
public func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

/// Raises the process's limit of open descriptors to the hard limit.
///
/// - Returns: the new limit.
@discardableResult
public func raiseDescriptorLimit() -> Int {
    var limits = rlimit()
    #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
        let resource = RLIMIT_NOFILE
    #endif
    getrlimit(resource, &limits)
    limits.rlim_cur = limits.rlim_max
    setrlimit(resource, &limits)
    return Int(clamping: limits.rlim_cur)
}
