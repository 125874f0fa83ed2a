private import Glibc

/// A system call that the kernel refused: which call, on what, and its `errno`.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    package let call: String
    package let subject: String
    package let code: Int32

    package init(call: String, subject: String, code: Int32) {
        self.call = call
        self.subject = subject
        self.code = code
    }

    /// For instance `open /var/lib/brokerd/lock: Permission denied (errno 13)`.
    package var description: String {
        let words = unsafe String(cString: strerror(code))
        return subject.isEmpty ? "\(call): \(words) (errno \(code))" : "\(call) \(subject): \(words) (errno \(code))"
    }

    package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
    package var isPermissionDenied: Bool { code == EACCES || code == EPERM || code == EROFS }
    package var isNotFound: Bool { code == ENOENT }
    package var isExisting: Bool { code == EEXIST }
    package var isAddressInUse: Bool { code == EADDRINUSE }
    package var isConnectionRefused: Bool { code == ECONNREFUSED || code == ENOENT }
    package var isWouldBlock: Bool { code == EAGAIN || code == EWOULDBLOCK }
}

/// Runs a system call again while a signal interrupts it; a negative result becomes a ``SystemError``.
/// EBADF traps: a closed descriptor in use is our own bug, and the next write could hit somebody else's file.
@discardableResult
func check<Result: SignedInteger>(
    _ call: String, _ subject: @autoclosure () -> String = "", _ body: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = body()
        if result >= 0 { return result }
        let code = errno
        if code == EINTR { continue }
        precondition(code != EBADF, "\(call) on a closed descriptor \(subject())")
        throw SystemError(call: call, subject: subject(), code: code)
    }
}
