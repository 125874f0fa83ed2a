private import LinuxIO

/// Decides whether the process is alive enough to feed systemd's watchdog: a thread of its own could ping for ever
/// while the parts that do the work hang.
package struct WatchdogGate: Sendable {
    /// What one part of the process says about itself at the moment.
    package struct Part: Equatable, Sendable {
        package let name: String
        /// Grows with each turn or finished piece of work.
        package let turns: UInt64
        /// False while the part may rest; a part that must always turn says true.
        package let hasWork: Bool

        package init(name: String, turns: UInt64, hasWork: Bool) {
            self.name = name
            self.turns = turns
            self.hasWork = hasWork
        }
    }

    package enum Verdict: Equatable, Sendable {
        case ping
        /// These parts have work and made no progress for longer than the limit.
        case withhold(stalled: [String])
    }

    private struct Observation {
        var turns: UInt64
        var hasWork: Bool
        /// Since when the part has had work without progress; its time starts when it is first seen with work.
        var since: Int64
    }

    private let stallMilliseconds: Int64
    private var observations: [String: Observation] = [:]

    /// - Parameter stallMilliseconds: How long a part may stay on one piece of work.
    package init(stallMilliseconds: Int64) { self.stallMilliseconds = stallMilliseconds }

    /// - Parameter now: Monotonic milliseconds.
    package mutating func judge(_ parts: [Part], now: Int64) -> Verdict {
        var stalled: [String] = []
        for part in parts {
            let last = observations[part.name]
            if let last, part.hasWork, last.hasWork, part.turns == last.turns {
                if now - last.since > stallMilliseconds { stalled.append(part.name) }
            } else {
                observations[part.name] = Observation(turns: part.turns, hasWork: part.hasWork, since: now)
            }
        }
        return stalled.isEmpty ? .ping : .withhold(stalled: stalled)
    }
}

/// The thread that feeds the watchdog at half its interval, as long as the gate lets it.
package final class Watchdog: Sendable {
    private let thread: SystemThread
    private let isStopped = Monitor(false)

    /// - Parameters:
    ///   - intervalMilliseconds: From ``ServiceNotifier/watchdogMilliseconds()``.
    ///   - sample: Reads the parts' counters; called on the watchdog's thread, must not block. A part with work must
    ///     make progress at least once in half the interval.
    package init(
        intervalMilliseconds: Int64, notifier: ServiceNotifier, logger: Logger,
        sample: @escaping @Sendable () -> [WatchdogGate.Part]
    ) {
        let isStopped = isStopped
        thread = SystemThread(name: "watchdog") {
            var gate = WatchdogGate(stallMilliseconds: intervalMilliseconds / 2)
            var wasWithheld = false
            while true {
                switch gate.judge(sample(), now: Clocks.monotonicMilliseconds()) {
                case .ping:
                    notifier.watchdogPing()
                    wasWithheld = false
                case .withhold(let stalled):
                    if !wasWithheld {
                        let names = stalled.joined(separator: ", ")
                        logger.critical(
                            "no progress in \(names): the watchdog is not fed, systemd will restart the service",
                            event: .watchdogWithheld, ["STALLED_PARTS": names])
                    }
                    wasWithheld = true
                }
                let pause = max(1, intervalMilliseconds / 2)
                if isStopped.wait(milliseconds: pause, { $0 ? true : nil }) != nil { return }
            }
        }
    }

    /// Ends the thread; call it last, for the watchdog also watches a stop.
    package func stop() {
        isStopped.update { $0 = true }
        thread.join()
    }
}
