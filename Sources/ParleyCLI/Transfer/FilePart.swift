import ArgumentParser

/// Which bytes of a file somebody wants, as in the Range header of HTTP (RFC 9110, section 14.1.2).
enum ByteRange: Equatable {
    /// From one byte on, the first being 0; so many, or all that follow.
    case from(Int, count: Int?)
    /// The last ones, or all when there are fewer.
    case last(Int)

    /// The bytes of a file of that size. What is behind its end is left out.
    ///
    /// - Throws: when the file has none of them.
    func bytes(of byteCount: Int) throws(Failure) -> Range<Int> {
        switch self {
        case .last(let count): return max(0, byteCount - count)..<byteCount
        case .from(let first, let count):
            guard first < byteCount || (first == 0 && count == nil) else {
                throw Failure("it has \(byteCount) bytes, and byte \(first) was asked for")
            }
            return first..<(first + min(count ?? .max, byteCount - first))
        }
    }
}

extension ByteRange: ExpressibleByArgument {
    /// Reads `0-499`, `500-` or `-500`; the last byte is among them.
    init?(argument: String) {
        let ends = argument.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, ends.allSatisfy({ $0.allSatisfy { "0"..."9" ~= $0 } }) else { return nil }
        switch (Int(ends[0]), Int(ends[1])) {
        case (let first?, nil) where ends[1].isEmpty: self = .from(first, count: nil)
        case (let first?, let last?) where last >= first && last < .max:
            self = .from(first, count: last - first + 1)
        case (nil, let count?) where ends[0].isEmpty && count > 0: self = .last(count)
        default: return nil
        }
    }
}

/// What tells a file from what it was before: two that differ in it differ in time or size. A server and who
/// asks it make the same one.
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
