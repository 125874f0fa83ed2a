import BrokerProtocol
import LinuxIO

/// When which lease is to be extended. Times are milliseconds of one steady clock.
struct LeaseTable {
    private struct Entry {
        let lease: LeaseID
        let milliseconds: Int64
        var extendAt: Int64
    }

    private var entries: [Entry] = []

    mutating func keep(_ lease: LeaseID, milliseconds: Int64, now: Int64) {
        entries.append(Entry(lease: lease, milliseconds: milliseconds, extendAt: now + milliseconds / 3))
    }

    mutating func forget(_ lease: LeaseID) { entries.removeAll { $0.lease == lease } }

    mutating func forgetAll() { entries = [] }

    var nextExtension: Int64? { entries.map(\.extendAt).min() }

    /// The leases to extend now, by the length of their lease; the next time is a third of it later.
    mutating func due(now: Int64) -> [(leases: [LeaseID], milliseconds: Int64)] {
        var batches: [(leases: [LeaseID], milliseconds: Int64)] = []
        for index in entries.indices where entries[index].extendAt <= now {
            let entry = entries[index]
            entries[index].extendAt = now + entry.milliseconds / 3
            if let batch = batches.firstIndex(where: { $0.milliseconds == entry.milliseconds }) {
                batches[batch].leases.append(entry.lease)
            } else {
                batches.append(([entry.lease], entry.milliseconds))
            }
        }
        return batches
    }
}

/// Extends the leases in hand from a thread of its own, so that no handler, however badly it behaves, can stop it.
/// The same thread gives the runtime its pulse.
final class LeaseKeeper: Sendable {
    private struct Work {
        var table = LeaseTable()
        var broker: (any MessageBroker)?
        var wakesAt: Int64 = 0
        var pulseAt: Int64 = 0
        var isStopped = false
    }

    static let pulseMilliseconds: Int64 = 2_000

    private let work = Monitor(Work())
    private let pulse: @Sendable () -> Void
    private let lost: @Sendable ([LeaseID]) -> Void

    /// Both closures are called from threads that must not be held up.
    /// - Parameter lost: The answer to an extension: the leases that are lost, maybe none.
    init(pulse: @escaping @Sendable () -> Void, lost: @escaping @Sendable ([LeaseID]) -> Void) {
        self.pulse = pulse
        self.lost = lost
    }

    func start() {
        _ = SystemThread(name: "leases") { [self] in
            SystemThread.detachCurrent()
            while turn() {}
        }
    }

    func stop() { work.update { $0.isStopped = true } }

    /// The connection that the leases kept from now on belong to; those before are forgotten.
    func use(_ broker: (any MessageBroker)?) {
        work.with { work in
            work.broker = broker
            work.table.forgetAll()
        }
    }

    func keep(_ lease: LeaseID, milliseconds: Int64) {
        let now = Clocks.monotonicMilliseconds()
        let isUrgent = work.with { work in
            work.table.keep(lease, milliseconds: milliseconds, now: now)
            return now + milliseconds / 3 < work.wakesAt
        }
        if isUrgent { work.update { $0.wakesAt = 0 } }
    }

    func forget(_ lease: LeaseID) { work.with { $0.table.forget(lease) } }

    /// - Returns: False when the thread is to end.
    private func turn() -> Bool {
        let now = Clocks.monotonicMilliseconds()
        let (due, broker, isPulse) = work.with { work in
            let isPulse = now >= work.pulseAt
            if isPulse { work.pulseAt = now + Self.pulseMilliseconds }
            let due = work.broker == nil ? [] : work.table.due(now: now)
            work.wakesAt = min(work.pulseAt, work.table.nextExtension ?? .max)
            return (due, work.broker, isPulse)
        }
        for batch in due { broker?.extendLeases(batch.leases, milliseconds: batch.milliseconds, lost: lost) }
        if isPulse { pulse() }
        let wakesAt = work.with { $0.wakesAt }
        let isStopped = work.wait(milliseconds: max(0, wakesAt - Clocks.monotonicMilliseconds())) { work -> Bool? in
            if work.isStopped { return true }
            return work.wakesAt == 0 ? false : nil
        }
        return isStopped != true
    }
}
