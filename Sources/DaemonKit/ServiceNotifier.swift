private import LinuxIO

/// Tells systemd how the service is (`sd_notify`). Without `NOTIFY_SOCKET` every call does nothing.
package struct ServiceNotifier: Sendable {
    private let send: @Sendable (String) -> Void

    package init() { send = Systemd.notify }

    /// - Parameter send: Gets each notification, lines of `NAME=value`; for tests.
    package init(send: @escaping @Sendable (String) -> Void) { self.send = send }

    /// The service does its work from now on; also ends a reload.
    package func ready(status text: String) { send("READY=1\nSTATUS=\(Self.line(text))") }

    /// The line that `systemctl status` shows.
    package func status(_ text: String) { send("STATUS=\(Self.line(text))") }

    /// The first act on SIGTERM.
    package func stopping(status text: String) { send("STOPPING=1\nSTATUS=\(Self.line(text))") }

    /// A reload begins; ``ready(status:)`` ends it.
    package func reloading(monotonicMicroseconds: Int64 = Clocks.monotonicMicroseconds()) {
        send("RELOADING=1\nMONOTONIC_USEC=\(monotonicMicroseconds)")
    }

    /// Asks for this much time from now on for a start, reload or stop that takes long. The first one must come before
    /// the unit's own timeout, and each before the last one ends.
    package func extendTimeout(microseconds: Int64) { send("EXTEND_TIMEOUT_USEC=\(microseconds)") }

    package func watchdogPing() { send("WATCHDOG=1") }

    /// How long systemd waits between two pings before it restarts the service; nil when it does not watch.
    package static func watchdogMilliseconds() -> Int64? {
        Systemd.watchdogMicroseconds().map { Int64(clamping: $0 / 1_000) }
    }

    /// A line end in a text would start another assignment.
    private static func line(_ text: String) -> String { String(text.map { $0.isNewline ? " " : $0 }) }
}
