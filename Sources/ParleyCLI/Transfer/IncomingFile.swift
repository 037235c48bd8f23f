import Parley

/// A file while it arrives: under a temporary name until ``keep()``, and gone when that does not come about.
struct IncomingFile {
    let name: FileName
    private let directory: Directory
    private let file: NewFile

    /// Creates the file under its temporary name.
    ///
    /// - Throws: why it cannot be; also when something has its real name already.
    init(_ name: FileName, in directory: Directory) throws(Refusal) {
        if let kind = directory.kind(of: name.text) { throw Self.exists(name, as: kind) }
        self.name = name
        self.directory = directory
        do {
            file = try NewFile(in: directory, as: name.text, path: name.text)
        } catch {
            throw Refusal("a file cannot be created: \(error.systemReason)")
        }
    }

    /// Removes the file unless it was kept. Idempotent.
    func remove() { file.discard() }

    /// Appends what has arrived.
    func write(_ bytes: ArraySlice<UInt8>) throws(Refusal) {
        do { try file.write(bytes) } catch {
            throw Refusal("the file cannot be written: \(error.systemReason)")
        }
    }

    /// Gives the complete file its name, unless something else has it by now.
    func keep() throws(Refusal) {
        do { try file.publish() } catch {
            guard error.code == .fileExists else {
                throw Refusal("the file cannot be kept: \(error.systemReason)")
            }
            throw Self.exists(name, as: directory.kind(of: name.text) ?? .regular)
        }
    }

    private static func exists(_ name: FileName, as kind: FileKind) -> Refusal {
        Refusal("\"\(name.text)\" exists already, as \(kind)")
    }
}
