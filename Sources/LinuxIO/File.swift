private import CLinux
private import Glibc

/// A regular file, read and written at offsets. All calls block.
package struct File: ~Copyable, Sendable {
    package let path: String
    private let descriptor: Descriptor

    package enum Access: Sendable {
        case read, readWrite
        /// Makes the file; fails when it exists.
        case create
        /// Opens the file, or makes it.
        case openOrCreate
    }

    /// - Parameter permissions: Of a new file, before the umask.
    package init(path: String, _ access: Access, permissions: UInt32 = 0o600) throws(SystemError) {
        let flags =
            switch access {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .create: O_RDWR | O_CREAT | O_EXCL
            case .openOrCreate: O_RDWR | O_CREAT
            }
        self.path = path
        descriptor = Descriptor(owning: try check("open", path) { unsafe clinux_open(path, flags, permissions) })
    }

    package borrowing func size() throws(SystemError) -> Int {
        let number = descriptor.number
        let end = try check("lseek", path) { lseek(number, 0, Int32(SEEK_END)) }
        return Int(end)
    }

    /// Reads up to `count` bytes at `offset`; fewer only at the end of the file.
    package borrowing func read(at offset: Int, count: Int) throws(SystemError) -> [UInt8] {
        let number = descriptor.number
        var failure: SystemError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let done = unsafe pread(number, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if done == 0 { return }
                if done < 0 {
                    let code = errno
                    if code == EINTR { continue }
                    failure = SystemError(call: "pread", subject: path, code: code)
                    return
                }
                filled += done
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Writes all bytes at `offset`. On an error any part of them may be in the file.
    package borrowing func write(_ bytes: [UInt8], at offset: Int) throws(SystemError) {
        let number = descriptor.number
        var done = 0
        while done < bytes.count {
            let start = done
            done += try check("pwrite", path) {
                unsafe bytes.withUnsafeBytes {
                    unsafe pwrite(number, $0.baseAddress! + start, $0.count - start, off_t(offset + start))
                }
            }
        }
    }

    /// Reserves real blocks for the first `count` bytes, so that later writes inside them cannot meet a full disk.
    package borrowing func allocate(count: Int) throws(SystemError) {
        let number = descriptor.number
        while true {
            let code = posix_fallocate(number, 0, off_t(count))
            if code == 0 { return }
            if code != EINTR { throw SystemError(call: "fallocate", subject: path, code: code) }
        }
    }

    package borrowing func truncate(to count: Int) throws(SystemError) {
        let number = descriptor.number
        try check("ftruncate", path) { ftruncate(number, off_t(count)) }
    }

    /// Makes the bytes, and the size, safe from a power cut. After an error the file must not be trusted again.
    package borrowing func syncData() throws(SystemError) {
        let number = descriptor.number
        try check("fdatasync", path) { fdatasync(number) }
    }

    package borrowing func sync() throws(SystemError) {
        let number = descriptor.number
        try check("fsync", path) { fsync(number) }
    }

    /// Takes the exclusive lock of the file until ``unlock()``, or until the last descriptor of this open file closes:
    /// a child process that is just being started has copies for a moment.
    /// - Returns: False when another open file has it.
    package borrowing func lockExclusively() throws(SystemError) -> Bool {
        let number = descriptor.number
        do throws(SystemError) {
            try check("flock", path) { flock(number, LOCK_EX | LOCK_NB) }
            return true
        } catch {
            if error.isWouldBlock { return false }
            throw error
        }
    }

    /// Gives the lock back, whoever else has a descriptor of this open file.
    package borrowing func unlock() { _ = flock(descriptor.number, LOCK_UN) }
}
