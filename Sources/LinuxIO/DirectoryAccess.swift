private import Glibc

extension Directory {
    /// True when this process may make files in the directory.
    package static func isWritable(_ path: String) -> Bool { unsafe access(path, W_OK | X_OK) == 0 }
}
