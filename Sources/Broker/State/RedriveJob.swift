import BrokerProtocol

/// A redrive with a rate, as the log keeps it.
struct JobRecord: Hashable, Sendable {
    /// The number of its sweep: it touches what died before.
    let id: UInt64
    let subscription: SubscriptionID
    let selection: DeadSelection
    let rate: UInt32
    let startedAt: WallTime
    /// Where it goes on.
    var next = MessageID(rawValue: 0)
    var moved: UInt64 = 0

    /// Log bytes that its definition takes, roughly.
    var bytes: Int {
        let texts = [selection.errorContains, selection.orderingKey].compactMap { $0?.utf8.count }
        let headers = selection.headers.map { $0.key.utf8.count + $0.value.utf8.count + 4 }
        return 100 + (texts + headers).reduce(0, +)
    }
}

/// A job with its place in time, which begins anew with each start.
final class RedriveJob {
    var record: JobRecord
    /// Thousandths of a message that it may redrive now.
    private(set) var credit: Int64 = 1_000
    private var creditAt: Int64?
    /// On the monotonic clock: no space in the log before.
    var pausedUntil: Int64 = 0
    /// The last step stopped in the middle of its way.
    var isOnItsWay = false

    init(_ record: JobRecord) { self.record = record }

    /// A tenth of a second's messages at once, or one.
    private var creditMax: Int64 { max(1_000, Int64(record.rate) * 100) }

    func refill(now: Int64) {
        let elapsed = min(max(now - (creditAt ?? now), 0), 1_000_000)
        creditAt = now
        credit = min(creditMax, credit + elapsed * Int64(record.rate))
    }

    func spend(_ count: Int) { credit -= Int64(count) * 1_000 }

    /// Milliseconds until it can do something; ten at least, so that a high rate makes few records.
    func wait(now: Int64) -> Int64 {
        if pausedUntil > now { return pausedUntil - now }
        if isOnItsWay { return 0 }
        let missing = 1_000 - credit
        let rate = Int64(record.rate)
        return missing <= 0 ? 0 : max(10, (missing + rate - 1) / rate) - (now - (creditAt ?? now))
    }
}

extension BrokerState {
    static let jobsMax = 100
    private static let jobRateMax: UInt32 = 1_000_000

    /// Begins a redrive that goes on by itself.
    func startJob(
        _ name: SubscriptionName, _ selection: DeadSelection, rate: UInt32, now: Now
    ) throws(BrokerError) -> Response {
        let subscription = try existing(name)
        if rate > Self.jobRateMax {
            throw BrokerError(.settingInvalid, "a rate is 1 to \(Self.jobRateMax) messages in a second")
        }
        if !selection.ids.isEmpty {
            throw BrokerError(.settingInvalid, "a redrive with a rate chooses by what letters have, not by their ids")
        }
        if jobs.count >= Self.jobsMax {
            throw BrokerError(.batchTooLarge, "there are \(Self.jobsMax) redrives with a rate, as many as may be")
        }
        let record = JobRecord(
            id: sweepCount + 1, subscription: subscription.id, selection: selection, rate: rate, startedAt: now.wall)
        try demandDefinitions(bytes: record.bytes)
        try self.record([.jobStarted(record)])
        return .deadJobs([description(of: record, subscription)])
    }

    func jobDescriptions() -> [DeadJob] {
        jobs.compactMap { job in
            subscriptions[job.record.subscription].map { description(of: job.record, $0) }
        }
    }

    private func description(of job: JobRecord, _ subscription: Subscription) -> DeadJob {
        DeadJob(
            id: job.id, subscription: subscription.name, selection: job.selection, rate: job.rate,
            startedAt: job.startedAt, moved: job.moved)
    }

    func cancelJob(_ id: UInt64) throws(BrokerError) {
        guard jobs.contains(where: { $0.record.id == id }) else {
            throw BrokerError(.messageUnknown, "there is no redrive with a rate of the number \(id); it may be done")
        }
        try record([.jobEnded(id)])
    }

    /// Each job does what its rate allows by now; call once a turn.
    func advanceJobs(now: Now) {
        if jobs.isEmpty || isDraining { return }
        for job in jobs where job.pausedUntil <= now.monotonic {
            job.refill(now: now.monotonic)
            job.isOnItsWay = false
            if job.credit >= 1_000 { step(job, now: now) }
        }
    }

    private func step(_ job: RedriveJob, now: Now) {
        let (record, limit) = (job.record, job.record.selection.limit)
        guard let subscription = subscriptions[record.subscription] else { return }
        let left = limit == 0 ? UInt64.max : limit - min(record.moved, limit)
        let most = min(left, UInt64(job.credit / 1_000))
        guard
            let scan = try? scan(
                subscription, record.selection, from: record.next, before: record.id, atMost: max(most, 1))
        else { return }
        let moved = record.moved + UInt64(scan.chosen.count)
        let isOver = scan.isOver && UInt64(scan.chosen.count) < most || limit > 0 && moved >= limit
        var facts: [Fact] = []
        if !scan.chosen.isEmpty {
            facts = [
                .redriven(subscription.id, scan.chosen), .jobMoved(record.id, next: scan.next, moved: moved),
            ]
        }
        if isOver { facts.append(.jobEnded(record.id)) }
        let bytes = 12 * scan.chosen.count + 2 * Self.settleBytes
        guard facts.isEmpty || leavesRoomForAcks(bytes) && recordReserved(facts, isAwaited: false) else {
            job.pausedUntil = now.monotonic + 1_000
            return
        }
        job.spend(scan.chosen.count)
        job.record.next = scan.next
        job.isOnItsWay = !isOver && UInt64(scan.chosen.count) < most
    }

    // MARK: Facts

    func applyJobStarted(_ record: JobRecord) {
        sweepCount = max(sweepCount, record.id)
        guard subscriptions[record.subscription] != nil else { return }
        if let job = jobs.first(where: { $0.record.id == record.id }) {
            job.record = record
            return
        }
        jobs.append(RedriveJob(record))
        jobs.sort { $0.record.id < $1.record.id }
        definitionBytes += record.bytes
    }

    func applyJobMoved(_ id: UInt64, next: MessageID, moved: UInt64) {
        guard let job = jobs.first(where: { $0.record.id == id }) else { return }
        job.record.next = next
        job.record.moved = moved
    }

    func endJobs(where isOver: (JobRecord) -> Bool) {
        for job in jobs where isOver(job.record) { definitionBytes -= job.record.bytes }
        jobs.removeAll { isOver($0.record) }
    }
}

extension ByteWriter {
    mutating func job(_ job: JobRecord) {
        u64(job.id)
        u32(job.subscription.rawValue)
        selection(job.selection)
        u32(job.rate)
        i64(job.startedAt.milliseconds)
        u64(job.next.rawValue)
        u64(job.moved)
    }
}

extension ByteReader {
    mutating func job() throws(Malformed) -> JobRecord {
        JobRecord(
            id: try sweep(), subscription: try subscriptionID(), selection: try selection(), rate: try u32("rate"),
            startedAt: try time("started at"), next: try messageID(), moved: try u64("moved"))
    }
}
