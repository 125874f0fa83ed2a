private import CLinux
private import Glibc

/// Signals as readable events: a handler writes each into a pipe, whose other end can be polled.
///
/// Blocking the signals and reading them from a signalfd would lose them: the main thread of a program that runs
/// Swift concurrency waits in libdispatch's `sigsuspend` with an empty mask, so the kernel delivers them there.
package final class SignalReader: Sendable {
    package enum Signal: Int32, Sendable { case hangup = 1, interrupt = 2, terminate = 15 }

    private let descriptor: Descriptor

    /// Catches hang-up, interrupt and terminate from now on, and ignores SIGPIPE. One reader per process: a second
    /// one gets EBUSY.
    package init() throws(SystemError) {
        let numbers = [Signal.hangup, .interrupt, .terminate].map(\.rawValue)
        Glibc.signal(SIGPIPE, SIG_IGN)
        descriptor = Descriptor(
            owning: try check("sigaction") { unsafe clinux_catch_signals(numbers, Int32(numbers.count)) })
    }

    /// To poll for reading.
    package var number: Int32 { descriptor.number }

    /// The next signal that has come; nil when there is none.
    package func next() -> Signal? {
        var bytes: [UInt8] = []
        guard let count = try? descriptor.read(into: &bytes, capacity: 1), count == 1 else { return nil }
        return Signal(rawValue: Int32(bytes[0]))
    }
}
