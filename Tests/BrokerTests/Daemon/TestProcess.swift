import Glibc
import LinuxIO

/// What tests do to their own process; only inside a process that is theirs alone.
enum TestProcess {
    static func setEnvironment(_ name: String, _ value: String) { unsafe setenv(name, value, 1) }

    static func sendToSelf(_ signal: Int32) { kill(getpid(), signal) }
}

/// The manager's end of `NOTIFY_SOCKET`: a datagram socket.
struct NotifySocket {
    private let number: Int32
    private let path: String

    /// Opens the socket and sets the variable.
    init() throws {
        path = "/tmp/brokerd-notify-\(getpid())"
        number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        let family = UInt16(AF_UNIX)
        let address = [UInt8(family & 255), UInt8(family >> 8)] + Array(path.utf8) + [0]
        let code = unsafe address.withUnsafeBytes { bytes in
            unsafe bind(number, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count))
        }
        guard code == 0 else { throw SystemError(call: "bind", subject: path, code: errno) }
        TestProcess.setEnvironment("NOTIFY_SOCKET", path)
    }

    /// Waits for one message.
    func receive() -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe recv(number, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    func remove() {
        close(number)
        unsafe unlink(path)
    }
}
