import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Something that is to be sent, as it was found.
struct SourceEntry {
    enum Kind: Equatable {
        case folder
        case file(byteCount: Int)
        case link(target: [UInt8])
        case standardInput
    }

    /// What the receiver calls it.
    let path: RelativePath
    let place: SourcePlace
    fileprivate(set) var kind: Kind
    /// Nil for standard input.
    let metadata: Metadata?
    /// Whether it may be opened through a symbolic link.
    let isFollowed: Bool
    /// What is sent of a file; nil for all.
    fileprivate(set) var part: FilePart?
}

/// What lies below the paths that somebody names: folders before what is in them.
struct SourceTree {
    /// How the paths are looked at.
    struct Options {
        /// Whether to send what links lead to in their place.
        var follow = false
        var excludes = ExcludeList([])
        /// Whether names that begin with a dot are left out of folders.
        var leavesOutHidden = false
        /// Whether nobody wants to know what is there any more. Asked before each entry.
        var isStopped: () -> Bool = { Task.isCancelled }
    }

    private(set) var entries: [SourceEntry] = []
    /// What cannot be sent, in sentences.
    private(set) var problems: [String] = []
    private let options: Options

    init(_ options: Options = Options()) { self.options = options }

    /// What was found.
    var totals: TransferTotals {
        var totals = TransferTotals()
        for entry in entries {
            switch entry.kind {
            case .folder: totals.folders += 1
            case .link: totals.links += 1
            case .file(let byteCount):
                totals.files += 1
                totals.byteCount = totals.byteCount.map { $0.addingClamped(byteCount) }
            case .standardInput:
                totals.files += 1
                totals.byteCount = nil
            }
        }
        if let root = entries.first?.path.root, entries.allSatisfy({ $0.path.root == root }) {
            totals.name = Array(root)
        }
        return totals
    }

    /// Adds a file, or a folder with everything in it. A link that is named here is followed.
    ///
    /// - Throws: when the path names nothing that can be sent.
    mutating func add(_ root: LocalPath, as name: [UInt8]) throws {
        try add(.path(root), RelativePath(checking: name), isFollowed: true)
    }

    /// Adds what somebody asks for of a folder that is served: a file, a link, or a folder with everything in
    /// it. What cannot be sent becomes a problem.
    ///
    /// - Parameter part: which bytes of a file; nil for all of everything.
    mutating func add(_ path: RelativePath, in cursor: FolderCursor, _ part: FilePart? = nil) {
        do {
            let name = try RelativePath(checking: path.name)
            try add(.served(path, cursor), name, isFollowed: false, part)
        } catch {
            problems.append(Failure.sentence(of: error) ?? "\(error)")
        }
    }

    /// Adds a part of what somebody asks for of a folder that is served, which has to be one file.
    mutating func add(_ part: FilePart, of paths: [RelativePath], in cursor: FolderCursor) {
        // What cannot be sent has a sentence already.
        guard problems.isEmpty else { return }
        let only = "--range and --if-tag are about one file"
        switch paths.count {
        case 0: problems.append("\(only), and there is none")
        case 1: add(paths[0], in: cursor, part)
        case let count: problems.append("\(only), and here are \(count) entries")
        }
    }

    private mutating func add(
        _ root: SourcePlace,
        _ path: RelativePath,
        isFollowed: Bool,
        _ part: FilePart? = nil
    ) throws {
        let status: stat
        do throws(SystemError) { status = try root.status(following: isFollowed) } catch {
            throw Failure("cannot open \(root.shown): \(error.reason)")
        }
        guard var entry = try entry(at: root, path, status, isFollowed: isFollowed) else {
            throw Failure("cannot send \(root.shown): it is \(FileKind(of: status))")
        }
        if case .file = entry.kind {
            // What cannot be opened is known now; and the size that a pseudo-file names is not its own.
            entry.kind = .file(byteCount: try SourceFile(root, following: isFollowed, part).count)
            entry.part = part
        } else if part != nil {
            throw Failure("--range and --if-tag are about one file, and \(root.shown) is none")
        }
        entries.append(entry)
        if entry.kind == .folder { walk(Folder(root, path, status, in: nil)) }
    }

    /// Adds a sentence about something that cannot be sent.
    mutating func addProblem(_ sentence: String) { problems.append(sentence) }

    mutating func addStandardInput(as name: [UInt8]) throws {
        entries.append(
            SourceEntry(
                path: try RelativePath(checking: name),
                place: .path(LocalPath(bytes: Array("standard input".utf8))),
                kind: .standardInput,
                metadata: nil,
                isFollowed: false
            )
        )
    }

    /// A folder, and those around it. Only a followed link can lead back to one of them.
    private final class Folder {
        let place: SourcePlace
        let path: RelativePath
        /// From the folder that was named on.
        let names: [[UInt8]]
        private let device: dev_t
        private let number: ino_t
        private let parent: Folder?

        init(
            _ place: SourcePlace,
            _ path: RelativePath,
            _ status: stat,
            in parent: Folder?,
            names: [[UInt8]] = []
        ) {
            self.place = place
            self.path = path
            self.names = names
            self.parent = parent
            (device, number) = (status.st_dev, status.st_ino)
        }

        func isInside(_ status: stat) -> Bool {
            var folder: Folder? = self
            while let here = folder {
                if here.device == status.st_dev, here.number == status.st_ino { return true }
                folder = here.parent
            }
            return false
        }
    }

    /// Not recursive: folders can be deeper than the stack of a thread.
    private mutating func walk(_ root: Folder) {
        var open: [(folder: Folder, names: ArraySlice<[UInt8]>)] = [(root, names(in: root)[...])]
        while let last = open.indices.last, !options.isStopped() {
            guard let name = open[last].names.popFirst() else {
                open.removeLast()
                continue
            }
            if let inner = addEntry(name, in: open[last].folder) {
                open.append((inner, names(in: inner)[...]))
            }
        }
    }

    private mutating func names(in folder: Folder) -> [[UInt8]] {
        do throws(SystemError) {
            let names = try folder.place.namesInside()
            return options.leavesOutHidden ? names.filter { !$0.isHidden } : names
        } catch {
            problems.append("cannot read \(folder.place.shown): \(error.reason)")
            return []
        }
    }

    /// Returns the folder that it is, if it is one.
    private mutating func addEntry(_ name: [UInt8], in folder: Folder) -> Folder? {
        let place = folder.place.appending(name)
        do {
            let status = try status(of: place)
            let names = folder.names + [name]
            guard !options.excludes.excludes(names, isFolder: FileKind(of: status) == .directory) else {
                return nil
            }
            let path = folder.path.appending(name)
            guard let entry = try entry(at: place, path, status, isFollowed: options.follow) else {
                problems.append("cannot send \(place.shown): it is \(FileKind(of: status))")
                return nil
            }
            if entry.kind == .folder, folder.isInside(status) {
                problems.append("cannot send \(place.shown): it leads back to a folder around it")
                return nil
            }
            entries.append(entry)
            return entry.kind == .folder ? Folder(place, entry.path, status, in: folder, names: names) : nil
        } catch {
            problems.append("cannot open \(place.shown): \(Failure.sentence(of: error) ?? "\(error)")")
            return nil
        }
    }

    private func status(of place: SourcePlace) throws(SystemError) -> stat {
        guard options.follow else { return try place.status(following: false) }
        do { return try place.status(following: true) } catch {
            // A link that leads nowhere can still be sent as a link. One whose end may not be looked at is a
            // problem, as is a file that may not be read.
            guard [ENOENT, ENOTDIR, ELOOP].contains(error.code) else { throw error }
            return try place.status(following: false)
        }
    }

    /// Nil for what cannot be sent.
    private func entry(
        at place: SourcePlace,
        _ path: RelativePath,
        _ status: stat,
        isFollowed: Bool
    ) throws -> SourceEntry? {
        let kind: SourceEntry.Kind
        switch FileKind(of: status) {
        case .regular: kind = .file(byteCount: Int(status.st_size))
        case .directory: kind = .folder
        case .symbolicLink: kind = .link(target: try place.linkTarget())
        case .other: return nil
        }
        return SourceEntry(
            path: path,
            place: place,
            kind: kind,
            metadata: Metadata(status),
            isFollowed: isFollowed
        )
    }
}
