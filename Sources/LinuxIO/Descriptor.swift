private import CLinux
private import Glibc

/// Owns one open descriptor and closes it exactly once.
package struct Descriptor: ~Copyable, Sendable {
    package let number: Int32

    package init(owning number: Int32) { self.number = number }

    deinit { _ = close(number) }

    /// Gives the number away; the caller closes it.
    package consuming func release() -> Int32 {
        let number = self.number
        discard self
        return number
    }

    /// A second descriptor of the same open file.
    package borrowing func duplicate() throws(SystemError) -> Descriptor {
        let number = self.number
        return Descriptor(owning: try check("dup") { clinux_fcntl_int(number, F_DUPFD_CLOEXEC, 3) })
    }

    /// Reads what is there, at most `capacity` bytes, and adds it to `buffer`.
    /// - Returns: The count; 0 at the end of the stream; nil when a non-blocking descriptor has nothing now.
    package borrowing func read(into buffer: inout [UInt8], capacity: Int) throws(SystemError) -> Int? {
        let number = self.number
        var count = -1
        var code: Int32 = 0
        buffer.append(addingCapacity: capacity) { room in
            unsafe room.withUnsafeMutableBufferPointer { room, filled in
                repeat {
                    count = unsafe Glibc.read(number, room.baseAddress! + filled, capacity)
                    code = errno
                } while count < 0 && code == EINTR
                filled += max(count, 0)
            }
        }
        if count >= 0 { return count }
        if code == EAGAIN || code == EWOULDBLOCK { return nil }
        throw SystemError(call: "read", subject: "", code: code)
    }

    /// Writes what the kernel takes of `bytes` from `offset` on.
    /// - Returns: The count; nil when a non-blocking descriptor takes nothing now.
    package borrowing func write(_ bytes: [UInt8], from offset: Int) throws(SystemError) -> Int? {
        precondition((0...bytes.count).contains(offset))
        let number = self.number
        while true {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(number, $0.baseAddress! + offset, $0.count - offset)
            }
            if count >= 0 { return count }
            let code = errno
            if code == EINTR { continue }
            if code == EAGAIN || code == EWOULDBLOCK { return nil }
            throw SystemError(call: "write", subject: "", code: code)
        }
    }

    /// Writes all bytes; for blocking descriptors only.
    package borrowing func writeAll(_ bytes: [UInt8]) throws(SystemError) {
        var offset = 0
        while offset < bytes.count {
            guard let count = try write(bytes, from: offset) else {
                throw SystemError(call: "write", subject: "", code: EAGAIN)
            }
            offset += count
        }
    }

    package borrowing func setNonBlocking() throws(SystemError) {
        let number = self.number
        let flags = try check("fcntl") { fcntl(number, F_GETFL) }
        try check("fcntl") { clinux_fcntl_int(number, F_SETFL, flags | O_NONBLOCK) }
    }

    package borrowing func setCloseOnExec() throws(SystemError) {
        let number = self.number
        try check("fcntl") { clinux_fcntl_int(number, F_SETFD, FD_CLOEXEC) }
    }
}
