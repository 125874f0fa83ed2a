private import CLinux
private import Glibc

extension Descriptor {
    /// Opens anything that can be read in order: a file, a FIFO, `/dev/fd/3`.
    package static func reading(path: String) throws(SystemError) -> Descriptor {
        Descriptor(owning: try check("open", path) { unsafe clinux_open(path, O_RDONLY, 0) })
    }

    /// Standard input; closed with the value.
    package static func standardInput() -> Descriptor { Descriptor(owning: 0) }

    /// Bytes of a regular file; nil for anything else.
    package borrowing func regularFileBytes() -> Int? {
        var status = stat()
        guard unsafe fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int(status.st_size)
    }
}
