/// Finds folders below another one, and keeps the last one open: the next entry is mostly in the same. No
/// link is followed.
final class FolderCursor {
    let root: OpenFolder
    private var path: ArraySlice<UInt8> = []
    private(set) var folder: OpenFolder

    init(_ root: OpenFolder) {
        self.root = root
        folder = root
    }

    /// The folder that an entry lies in.
    func folder(around path: RelativePath) throws(SystemError) -> OpenFolder {
        let parent = path.parent
        if self.path == parent { return folder }
        folder = try root.inner(parent.split(separator: slash))
        self.path = parent
        return folder
    }
}
