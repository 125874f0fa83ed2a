private import CLinux
private import Glibc

/// Operations on directory entries. A changed entry survives a power cut only after ``sync(_:)`` of its directory.
package enum Directory {
    /// Makes the directory and the missing ones above it.
    package static func create(_ path: String, permissions: UInt32 = 0o700) throws(SystemError) {
        var partial = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            partial += (partial.isEmpty || partial.hasSuffix("/") ? "" : "/") + part
            do throws(SystemError) {
                try check("mkdir", partial) { unsafe mkdir(partial, permissions) }
            } catch {
                if !error.isExisting && !exists(partial) { throw error }
            }
        }
    }

    package static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// The names in the directory, sorted, without `.` and `..`.
    package static func names(in path: String) throws(SystemError) -> [String] {
        guard let stream = unsafe opendir(path) else {
            throw SystemError(call: "opendir", subject: path, code: errno)
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    package static func sync(_ path: String) throws(SystemError) {
        let flags = O_RDONLY | O_DIRECTORY
        let descriptor = Descriptor(owning: try check("open", path) { unsafe clinux_open(path, flags, 0) })
        let number = descriptor.number
        try check("fsync", path) { fsync(number) }
    }

    package static func rename(_ old: String, to new: String) throws(SystemError) {
        try check("rename", "\(old) to \(new)") { unsafe Glibc.rename(old, new) }
    }

    package static func remove(_ path: String) throws(SystemError) {
        try check("unlink", path) { unsafe unlink(path) }
    }

    /// Free bytes for this process on the file system of `path`.
    package static func freeBytes(_ path: String) throws(SystemError) -> Int {
        var status = statvfs()
        try check("statvfs", path) { unsafe statvfs(path, &status) }
        return Int(status.f_bavail) * Int(status.f_frsize)
    }
}
