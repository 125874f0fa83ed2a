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

/// Signals as readable events: blocked for every thread, then read from a descriptor.
package final class SignalReader: Sendable {
    package enum Signal: Int32, Sendable { case hangup = 1, interrupt = 2, terminate = 15 }

    private let descriptor: Descriptor

    /// Blocks hang-up, interrupt and terminate in the calling thread and all that it starts later, and ignores SIGPIPE.
    package init() throws(SystemError) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in [Signal.hangup, .interrupt, .terminate] { unsafe sigaddset(&set, signal.rawValue) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        Glibc.signal(SIGPIPE, SIG_IGN)
        descriptor = Descriptor(owning: try check("signalfd") { unsafe clinux_signalfd(&set) })
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    package var number: Int32 { descriptor.number }

    package func next() -> Signal? {
        var bytes: [UInt8] = []
        guard let count = try? descriptor.read(into: &bytes, capacity: 128), count == 128 else { return nil }
        return Signal(rawValue: Int32(bytes[0]))
    }
}
