import Parley
import ParleyNoise

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The file that this node's identity is in.
struct IdentityFile: Equatable {
    let path: String
    /// The directories that are made when they are missing, the outermost first. Empty for a file that the
    /// command line names: a wrong path should be an error there.
    let directories: [String]

    /// The file that `--identity` names, or the one in the user's configuration.
    ///
    /// An environment variable that is empty, or holds a relative path, counts as not set.
    /// Source: <https://specifications.freedesktop.org/basedir-spec/latest/>.
    ///
    /// - Throws: when the environment names no directory, or the path is not UTF-8: the library takes text,
    ///   and would use another file.
    init(option: String?, environment: (String) -> String?) throws(Failure) {
        func directory(_ name: String) -> String? {
            environment(name).flatMap { $0.utf8.first == UInt8(ascii: "/") ? $0 : nil }
        }
        if let option {
            let path = LocalPath(argument: option, of: "--identity")
            guard path.bytes.elementsEqual(option.utf8) else {
                throw Failure("no identity: the path \(path.shown) is not UTF-8")
            }
            self.init(path: option, directories: [])
        } else if let configuration = directory("XDG_CONFIG_HOME") {
            self.init(inConfiguration: configuration)
        } else if let home = directory("HOME") {
            self.init(inConfiguration: home + "/.config")
        } else {
            throw Failure(
                "cannot tell where the identity of this node lies, since neither HOME nor XDG_CONFIG_HOME is "
                    + "set"
            )
        }
    }

    private init(path: String, directories: [String]) {
        self.path = path
        self.directories = directories
    }

    private init(inConfiguration directory: String) {
        let own = directory + "/parley"
        self.init(path: own + "/identity", directories: [directory, own])
    }
}

extension IdentityFile {
    /// Reads the identity. Makes one when there is none, and says so on standard error.
    func loadOrCreate() throws(Failure) -> Identity {
        let obstacle = makeDirectories()
        do throws(ParleyError) {
            return try Identity.loadOrCreate(at: path) { identity in
                Console.notice("made a new identity in \(path): \(identity.id)")
            }
        } catch {
            throw Failure("no identity: \(obstacle ?? error.message)")
        }
    }

    /// Returns why the file cannot be made, unless it is there already; nil when nothing is known of that.
    private func makeDirectories() -> String? {
        for directory in directories where mkdir(directory, 0o700) != 0 && errno != EEXIST {
            return "cannot make \(directory) for \(path): \(SystemError.last.reason)"
        }
        return nil
    }
}

/// A variable of this process's environment; nil when it is not set.
func environmentVariable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
