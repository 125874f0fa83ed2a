private import CLinux
private import Glibc

/// Facts about, and endings of, this process.
package enum Process {
    package static var identifier: Int32 { getpid() }

    package static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }

    package static func removeEnvironment(_ name: String) { unsafe unsetenv(name) }

    package static func exit(_ code: Int32) -> Never { Glibc.exit(code) }

    /// Writes a line to standard error; for the last words of a daemon and the messages of a command.
    package static func writeError(_ text: String) { write(text, to: 2) }

    package static func writeOutput(_ text: String) { write(text, to: 1) }

    private static func write(_ text: String, to number: Int32) {
        let bytes = Array(text.utf8)
        var offset = 0
        while offset < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(number, $0.baseAddress! + offset, $0.count - offset)
            }
            if count < 0 && errno != EINTR { return }
            offset += max(count, 0)
        }
    }

    package static func isTerminal(_ number: Int32) -> Bool { isatty(number) == 1 }

    /// Columns of the terminal on standard error, 0 when there is none.
    package static var terminalColumns: Int { Int(clinux_window_columns(2)) }

    /// Device and inode of an open descriptor, as `device:inode`, the form of `JOURNAL_STREAM`.
    package static func deviceAndInode(_ number: Int32) -> String? {
        var status = stat()
        guard unsafe fstat(number, &status) == 0 else { return nil }
        return "\(status.st_dev):\(status.st_ino)"
    }
}
