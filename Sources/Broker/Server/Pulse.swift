package import BrokerProtocol
package import DaemonKit
import LinuxIO
import SegmentLog
import Synchronization

/// What the loop tells other threads: that it turns, whether the writer moves on, and the broker in numbers.
package final class Pulse: Sendable {
    private let turns = Atomic<UInt64>(0)
    private let writerSteps = Atomic<UInt64>(0)
    private let writerIsBusy = Atomic<Bool>(false)
    /// The loop does the writer's work.
    private let isSyncing = Atomic<Bool>(false)
    private let latest = Monitor(BrokerStatus())

    package init() {}

    func note(_ status: BrokerStatus) { latest.with { $0 = status } }

    /// At most about a second old.
    package var status: BrokerStatus { latest.with { $0 } }

    func beat(_ writer: LogHeartbeat) {
        turns.add(1, ordering: .relaxed)
        writerSteps.store(writer.steps, ordering: .relaxed)
        writerIsBusy.store(writer.busySince != nil, ordering: .relaxed)
    }

    /// What hangs meanwhile is the disk, not the loop.
    func whileSyncing(_ body: () -> Void) {
        isSyncing.store(true, ordering: .relaxed)
        body()
        isSyncing.store(false, ordering: .relaxed)
    }

    package var parts: [WatchdogGate.Part] {
        let isSyncing = isSyncing.load(ordering: .relaxed)
        return [
            WatchdogGate.Part(name: "loop", turns: turns.load(ordering: .relaxed), hasWork: !isSyncing),
            WatchdogGate.Part(
                name: "log writer", turns: writerSteps.load(ordering: .relaxed),
                hasWork: isSyncing || writerIsBusy.load(ordering: .relaxed)),
        ]
    }
}
