import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file while it arrives: under a temporary name until it is kept, and gone when that does not come about.
final class PartFile: IncomingContent {
    /// Larger files are on the disk before they get their name; smaller ones are when the transfer ends.
    private static let syncedBytes = 1 << 20
    /// Of a part: nobody else reads a file that is not complete.
    static let mode: mode_t = 0o600

    /// Where a file is to be.
    struct Place {
        let path: RelativePath
        let parent: OpenFolder
        let metadata: Metadata?
        let overwrites: Bool
    }

    private let place: Place
    private let name: [UInt8]
    /// Of the whole file, when a later transfer may go on with this part; otherwise nil.
    private let resumableBytes: Int?
    /// The parts of other versions of this file, which nobody goes on with when this one is kept.
    private let otherVersions: [[UInt8]]
    /// Nil once it is kept, discarded or left.
    private var descriptor: Int32?
    /// Of a file that comes without a mode, as the system has made it; nil for any other.
    private var plainMode: mode_t?
    /// What is in it.
    private var byteCount = 0
    private var endsWithHole = false

    /// Makes a new part.
    init(_ place: Place) throws(Refusal) {
        self.place = place
        name = Resumption.temporaryName()
        resumableBytes = nil
        otherVersions = []
        let (descriptor, plainMode) = Self.create(name, in: place)
        guard descriptor >= 0 else { throw .system("a file cannot be created", .last) }
        self.descriptor = descriptor
        self.plainMode = plainMode
    }

    /// Goes on with the part of that name, or makes it. While another transfer has it, the part gets a name
    /// that nobody goes on with.
    init(
        _ place: Place,
        resuming name: [UInt8],
        replacing otherVersions: [[UInt8]],
        byteCount: Int
    ) throws(Refusal) {
        self.place = place
        self.otherVersions = otherVersions
        var descriptor = place.parent.openFile(name, O_RDWR, byteCount: 0...byteCount) ?? -1
        var plainMode: mode_t?
        if descriptor < 0 { (descriptor, plainMode) = Self.create(name, in: place) }
        if descriptor >= 0, Self.lock(descriptor), place.parent.isName(name, of: descriptor) {
            self.name = name
            resumableBytes = byteCount
            // Until the sender says how much of it is right: what breaks off before keeps all of it.
            self.byteCount = max(0, Int(lseek(descriptor, 0, SEEK_END)))
        } else {
            if descriptor >= 0 { close(descriptor) }
            self.name = Resumption.temporaryName()
            resumableBytes = nil
            (descriptor, plainMode) = Self.create(self.name, in: place)
        }
        guard descriptor >= 0 else { throw .system("a file cannot be created", .last) }
        self.descriptor = descriptor
        let isPlain = place.metadata == nil
        self.plainMode = isPlain ? plainMode ?? Self.plainMode(in: place) : nil
    }

    /// Locks a part, so that no other transfer goes on with it or removes it. False when another one has it.
    private static func lock(_ descriptor: Int32) -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }

    /// Makes a part of mode ``mode``.
    ///
    /// - Returns: its descriptor, negative when it cannot be made; and the mode that the file gets when it
    ///   comes without one.
    private static func create(_ name: [UInt8], in place: Place) -> (Int32, mode_t?) {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let first: mode_t = place.metadata == nil ? 0o666 : mode
        let descriptor = name.withCString { openat(place.parent.descriptor, $0, flags, first) }
        guard descriptor >= 0 else { return (descriptor, nil) }
        _ = lock(descriptor)
        var status = stat()
        guard place.metadata == nil, fstat(descriptor, &status) == 0 else { return (descriptor, nil) }
        _ = fchmod(descriptor, mode)
        return (descriptor, status.st_mode & 0o777)
    }

    /// The mode that new files get there from the umask. A file is made to see it, and removed: a part that
    /// was there already does not show it.
    private static func plainMode(in place: Place) -> mode_t? {
        let name = Resumption.temporaryName()
        let (descriptor, mode) = create(name, in: place)
        guard descriptor >= 0 else { return nil }
        place.parent.remove(name)
        close(descriptor)
        return mode
    }

    deinit { discard() }

    func hashes() async throws -> [UInt64] {
        guard let resumableBytes, let descriptor else { return [] }
        return try await FileBlocks.hashes(of: descriptor, upTo: byteCount, fileBytes: resumableBytes)
    }

    func goOn(from byteCount: Int) throws(Refusal) {
        guard let descriptor else { return }
        guard ftruncate(descriptor, off_t(byteCount)) == 0 else {
            throw .system("the file cannot be written", .last)
        }
        self.byteCount = byteCount
    }

    func write(_ bytes: ArraySlice<UInt8>) throws {
        guard let descriptor else { return }
        var rest = bytes
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress, $0.count, off_t(byteCount))
            }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw Refusal.system("the file cannot be written", .last) }
            rest.removeFirst(written)
            byteCount += written
        }
        if !bytes.isEmpty { endsWithHole = false }
    }

    /// Leaves a hole, which takes no place on the disk.
    func skip(_ count: Int) throws {
        byteCount += count
        endsWithHole = true
    }

    func keep() throws(Refusal) {
        guard let descriptor else { return }
        do throws(SystemError) {
            if endsWithHole, ftruncate(descriptor, off_t(byteCount)) != 0 { throw .last }
            if byteCount >= Self.syncedBytes, fsync(descriptor) != 0 {
                let failure = SystemError.last
                // What of it is on the disk is not known, though reading may show all of it.
                discard()
                throw failure
            }
            // The time last: as long as this is a part, its own tells how old the part is.
            if let metadata = place.metadata {
                _ = fchmod(descriptor, mode_t(metadata.mode))
                _ = futimens(descriptor, metadata.modified.accessedNowModifiedThen)
            } else if let plainMode {
                _ = fchmod(descriptor, plainMode)
            }
            try place.parent.rename(name, to: place.path.name, replacing: place.overwrites)
        } catch {
            guard error.code == EEXIST || error.code == EISDIR else {
                throw .system("the file cannot be kept", error)
            }
            let kind = place.parent.kind(of: place.path.name) ?? .regular
            throw TargetFolder.exists(place.path, as: kind)
        }
        close(descriptor)
        self.descriptor = nil
        removeOtherVersions()
    }

    func discard() {
        guard let descriptor else { return }
        place.parent.remove(name)
        close(descriptor)
        self.descriptor = nil
    }

    func leave() {
        guard let descriptor, resumableBytes != nil, byteCount > 0 else { return discard() }
        if endsWithHole { _ = ftruncate(descriptor, off_t(byteCount)) }
        // When only the rename has failed, it had the mode and the time of its source already.
        _ = fchmod(descriptor, Self.mode)
        _ = futimens(descriptor, nil)
        close(descriptor)
        self.descriptor = nil
        removeOtherVersions()
    }

    /// There is one part of a file at most: those of a file that is always written to would fill the disk.
    /// Nobody else makes such names, which are hashes for the most part.
    private func removeOtherVersions() {
        for name in otherVersions { place.parent.removePart(name, whateverItsMode: true) }
    }
}
