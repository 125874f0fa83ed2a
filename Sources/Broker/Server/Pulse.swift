package import DaemonKit
import LinuxIO
import SegmentLog
import Synchronization

/// What the loop tells the watchdog's thread: that it turns, and whether the writer moves on.
package final class Pulse: Sendable {
    private let turns = Atomic<UInt64>(0)
    private let writerSteps = Atomic<UInt64>(0)
    private let writerIsBusy = Atomic<Bool>(false)

    package init() {}

    func beat(_ writer: LogHeartbeat) {
        turns.add(1, ordering: .relaxed)
        writerSteps.store(writer.steps, ordering: .relaxed)
        writerIsBusy.store(writer.busySince != nil, ordering: .relaxed)
    }

    package var parts: [WatchdogGate.Part] {
        [
            WatchdogGate.Part(name: "loop", turns: turns.load(ordering: .relaxed), hasWork: true),
            WatchdogGate.Part(
                name: "log writer", turns: writerSteps.load(ordering: .relaxed),
                hasWork: writerIsBusy.load(ordering: .relaxed)),
        ]
    }
}
