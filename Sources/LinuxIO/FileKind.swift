private import Glibc

extension Directory {
    /// Whether the path itself is a socket; a symbolic link to one is not.
    package static func isSocket(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }
}

extension SystemError {
    /// No file can have this path: something on the way is no directory, or a name is too long.
    package var isPathImpossible: Bool { [ENOTDIR, ENOENT, ENAMETOOLONG, ELOOP, EISDIR].contains(code) }
}
