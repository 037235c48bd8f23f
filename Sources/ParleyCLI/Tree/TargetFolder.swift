import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A folder that is received into. It is opened once. Below it names are looked up one by one, and no link is
/// followed, so nothing that lies in it can lead an entry elsewhere.
final class TargetFolder: IncomingTarget {
    private let cursor: FolderCursor
    private let overwrites: Bool
    /// Nil when nothing is left of what breaks off.
    private let resumption: Resumption?
    /// The folders without old parts.
    private var cleaned: Set<ArraySlice<UInt8>> = []
    /// The names of the parts that were in these folders.
    private var parts: [[UInt8]] = []
    /// What was made here, to get its mode and time when everything is in it.
    private(set) var made: [RelativePath: Metadata] = [:]
    /// The folders that a transfer has left unfinished that broke off, to get theirs; nil for what a new
    /// folder has.
    private var adopted: [RelativePath: Metadata?] = [:]

    /// The mode of a folder that a later transfer may go on with: for its owner alone, until its own mode
    /// comes. The sticky bit tells it from the folders that somebody else has made for himself.
    private static let unfinishedMode: mode_t = 0o1700

    init(_ root: OpenFolder, overwrites: Bool, resumption: Resumption? = nil) {
        cursor = FolderCursor(root)
        self.resumption = resumption
        self.overwrites = overwrites
        removeOldParts(in: root, [])
    }

    func makeFolder(_ path: RelativePath, _ metadata: Metadata?) throws(Refusal) {
        let parent = try parent(of: path)
        // Nobody else looks into a folder whose mode is to come.
        let mode = metadata == nil ? 0o777 : Self.unfinishedMode
        let name = path.name
        if name.withCString({ mkdirat(parent.descriptor, $0, mode) }) == 0 {
            if let metadata { made[path] = metadata }
            return
        }
        let failure = SystemError.last
        guard failure.code == EEXIST else { throw .system("the folder cannot be created", failure) }
        let kind = parent.kind(of: name)
        guard kind == .directory else { throw Self.exists(path, as: kind ?? .other) }
        // Only the first record of a folder counts, however often a sender repeats it.
        guard made[path] == nil, !adopted.keys.contains(path) else { return }
        guard let status = try? parent.status(of: name) else { return }
        // A transfer that has broken off has made it.
        // In a set-group-ID folder it has that bit, too.
        guard status.st_mode & 0o7777 & ~setGroupID == Self.unfinishedMode else { return }
        adopted.updateValue(metadata, forKey: path)
    }

    func makeLink(_ path: RelativePath, to target: [UInt8], _ metadata: Metadata?) throws(Refusal) {
        try LinkTarget.check(target, at: path)
        let parent = try parent(of: path)
        if resumption != nil, parent.linkTarget(path.name) == target { return }
        try checkFree(path, in: parent)
        let temporary = Resumption.temporaryName()
        let made = target.withCString { target in
            temporary.withCString { symlinkat(target, parent.descriptor, $0) }
        }
        guard made == 0 else { throw .system("the link cannot be created", .last) }
        if let metadata {
            _ = temporary.withCString {
                utimensat(
                    parent.descriptor,
                    $0,
                    metadata.modified.accessedNowModifiedThen,
                    AT_SYMLINK_NOFOLLOW
                )
            }
        }
        do throws(SystemError) {
            try parent.rename(temporary, to: path.name, replacing: overwrites)
        } catch {
            parent.remove(temporary)
            throw failure(error, toName: path, in: parent)
        }
    }

    func makeFile(
        _ path: RelativePath,
        _ metadata: Metadata?,
        byteCount: Int?
    ) throws(Refusal) -> any IncomingContent {
        let parent = try parent(of: path)
        let place = PartFile.Place(path: path, parent: parent, metadata: metadata, overwrites: overwrites)
        guard let resumption else {
            try checkFree(path, in: parent)
            return try PartFile(place)
        }
        // With --overwrite a file counts as the same one only when it was changed at the same time.
        let time = metadata?.modified
        if let byteCount, !overwrites || (time != nil && parent.modified(path.name) == time),
            let present = PresentFile(path, in: parent, byteCount: byteCount)
        {
            return present
        }
        try checkFree(path, in: parent)
        guard let byteCount, byteCount >= BlockHashes.leastFileBytes else { return try PartFile(place) }
        let name = resumption.partName(of: path, byteCount: byteCount, metadata)
        let others = parts.filter { $0.starts(with: name.ofAnyVersion) && $0 != name.bytes }
        return try PartFile(place, resuming: name.bytes, replacing: others, byteCount: byteCount)
    }

    func finish(hasAll: Bool) throws(Refusal) {
        // What is missing may come later, so their owner may write to them.
        completeFolders(
            made.mapValues { Optional($0) }.merging(adopted) { own, _ in own },
            keeping: hasAll ? 0 : 0o700
        )
        guard cursor.root.sync() else { throw .system("what arrived cannot be completed", .last) }
    }

    /// Folders stay as they are that a later transfer may go on with: it completes them. Nobody else does so
    /// with other ones; their owner may still write to them, as another attempt has to. Those that another
    /// transfer has left stay as they were found.
    func leave() {
        if resumption == nil { completeFolders(made.mapValues { Optional($0) }, keeping: 0o700) }
    }

    /// Gives folders their modes and times.
    ///
    /// - Parameters:
    ///   - folders: nil for the mode that a new folder has.
    ///   - kept: what is allowed beside that.
    private func completeFolders(_ folders: [RelativePath: Metadata?], keeping kept: mode_t) {
        let newMode = folders.values.contains { $0 == nil } ? cursor.root.modeOfNewFolders : nil
        // The innermost first, whose paths are longer than those around them: a folder that may not be
        // written to takes no changes inside.
        for (path, metadata) in folders.sorted(by: { $0.key.bytes.count > $1.key.bytes.count }) {
            guard let folder = try? cursor.root.inner(path.names) else { continue }
            if let metadata {
                let times = metadata.modified.accessedNowModifiedThen
                _ = futimens(folder.descriptor, times)
            }
            if let mode = metadata.map({ mode_t($0.mode) }) ?? newMode {
                var status = stat()
                let inherited = fstat(folder.descriptor, &status) == 0 ? status.st_mode & setGroupID : 0
                _ = fchmod(folder.descriptor, mode | kept | inherited)
            }
        }
        (made, adopted) = ([:], [:])
    }

    /// The folder that an entry is to lie in.
    private func parent(of path: RelativePath) throws(Refusal) -> OpenFolder {
        // What is called so would be taken for a part, and removed in a week.
        guard !Resumption.isPart(path.name) else {
            throw Refusal("\"\(path.shown)\" is called as parts of files are here")
        }
        let last = cursor.folder
        let folder: OpenFolder
        do throws(SystemError) { folder = try cursor.folder(around: path) } catch {
            throw .system("\"\(path.shown)\" has no folder to lie in", error)
        }
        if folder !== last { removeOldParts(in: folder, path.parent) }
        return folder
    }

    /// Once for each folder: entries lie in it, then in its first folder, then in it again.
    private func removeOldParts(in folder: OpenFolder, _ path: ArraySlice<UInt8>) {
        guard cleaned.insert(path).inserted else { return }
        parts += folder.removeOldParts()
    }

    /// A file or link takes a name that nothing has, or that of another file or link if it may.
    private func checkFree(_ path: RelativePath, in parent: OpenFolder) throws(Refusal) {
        guard let kind = parent.kind(of: path.name) else { return }
        guard overwrites, kind == .regular || kind == .symbolicLink else { throw Self.exists(path, as: kind) }
    }

    private func failure(_ error: SystemError, toName path: RelativePath, in parent: OpenFolder) -> Refusal {
        guard error.code == EEXIST else { return .system("the link cannot be kept", error) }
        return Self.exists(path, as: parent.kind(of: path.name) ?? .other)
    }

    static func exists(_ path: RelativePath, as kind: FileKind) -> Refusal {
        Refusal("\"\(path.shown)\" exists already, as \(kind)")
    }
}

/// `S_ISGID`, which a folder inherits from the one around it.
private let setGroupID: mode_t = 0o2000

extension OpenFolder {
    /// The mode that new folders get here from the umask. A folder is made to see it, and removed: a look at
    /// the umask itself would change it for other threads.
    fileprivate var modeOfNewFolders: mode_t? {
        let name = Resumption.temporaryName()
        guard name.withCString({ mkdirat(descriptor, $0, 0o777) }) == 0 else { return nil }
        defer { _ = name.withCString { unlinkat(descriptor, $0, AT_REMOVEDIR) } }
        return (try? status(of: name)).map { mode_t($0.st_mode) & 0o777 }
    }
}

extension Refusal {
    /// A system call has failed.
    static func system(_ what: String, _ error: SystemError) -> Refusal {
        let scope: Scope =
            switch error.code {
            case ENOSPC, EDQUOT: .untilThereIsRoom
            case EROFS, EIO: .transfer
            default: .entry
            }
        return Refusal("\(what): \(error.reason)", scope: scope)
    }
}
