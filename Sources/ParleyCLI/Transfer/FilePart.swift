import ArgumentParser

/// Which bytes of a file somebody wants, as in the Range header of HTTP (RFC 9110, section 14.1.2).
enum ByteRange: Equatable {
    /// From one byte on, the first being 0; so many, or all that follow.
    case from(Int, count: Int?)
    /// The last ones, or all when there are fewer.
    case last(Int)

    /// The bytes of a file of that size. What is behind its end is left out. All of an empty file is nothing.
    ///
    /// - Throws: when the range begins behind the end of the file.
    func bytes(of byteCount: Int) throws(Failure) -> Range<Int> {
        switch self {
        case .last(let count): return max(0, byteCount - count)..<byteCount
        case .from(let first, let count):
            guard first < byteCount || (first == 0 && byteCount == 0) else {
                throw Failure("it has \(byteCount.inBytes), and byte \(first) was asked for")
            }
            return first..<(first + min(count ?? .max, byteCount - first))
        }
    }

    /// How many bytes it can be at most; nil for any number.
    var mostBytes: Int? {
        switch self {
        case .last(let count): count
        case .from(_, let count): count
        }
    }
}

extension ByteRange: ExpressibleByArgument {
    /// Reads `0-499`, `500-` or `-500`; the last byte is among them.
    init?(argument: String) {
        let ends = argument.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, ends.allSatisfy({ $0.allSatisfy { "0"..."9" ~= $0 } }) else { return nil }
        // No file has as many bytes as do not fit into a number.
        let (first, last) = (Int(ends[0]) ?? .max, Int(ends[1]) ?? .max)
        switch (ends[0].isEmpty, ends[1].isEmpty) {
        case (true, true): return nil
        case (true, false) where last > 0: self = .last(last)
        case (false, true): self = .from(first, count: nil)
        case (false, false) where first <= last:
            self = .from(first, count: last - first < .max ? last - first + 1 : nil)
        default: return nil
        }
    }
}

/// Tells a file from what it was before: it changes with the time and the size of the file. A server and who
/// asks it make the same one. That of a pseudo-file (/proc, /sys), whose size nobody knows, fits none.
struct FileTag: Equatable {
    let text: String

    init(byteCount: Int, modified: Timestamp) {
        let numbers = [Int(modified.seconds), Int(modified.nanoseconds), byteCount]
        text = numbers.map { String($0, radix: 16) }.joined(separator: ".")
    }

    init(text: String) { self.text = text }
}

/// What somebody wants of one file, and of which.
struct FilePart: Equatable {
    /// Nil for all of it.
    var range: ByteRange?
    /// Of the file that is meant; nil for any.
    var tag: FileTag?

    /// The bytes that are wanted of a file.
    ///
    /// - Throws: when it has none of them, or is another one than is meant.
    func bytes(of byteCount: Int, modified: Timestamp) throws(Failure) -> Range<Int> {
        let tag = FileTag(byteCount: byteCount, modified: modified)
        guard self.tag == nil || self.tag == tag else {
            throw Failure("it has changed: its tag is \(tag.text)")
        }
        return try range?.bytes(of: byteCount) ?? 0..<byteCount
    }
}
