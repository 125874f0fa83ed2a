import LinuxIO
import Synchronization

/// Writes and syncs, mostly on a thread of its own. It takes all buffers that gathered while the last ones were
/// syncing, writes them, and syncs once; nothing of a batch is written before all before it is synced.
///
/// When there is nothing else to do, the thread that has the buffers may do the same in its place, which saves the way
/// to the other thread and back. Whoever works has taken the desk before.
final class LogWriter: Sendable {
    enum Ending: Sendable { case finish, abandon }

    private struct Recycling: Sendable {
        var first: UInt64
        /// Only when everything below is durable: what replaced the old segments stands there.
        var after: UInt64
    }

    private struct Mail {
        var queue: [LogBuffer] = []
        var recyclings: [Recycling] = []
        var ending: Ending?
        var failure: LogError?
        /// Somebody works, so nobody else may.
        var isDeskTaken = false
        /// The thread waits for work without a limit: the watermark stands on disk.
        var isResting = false
        /// It has to look when the watermark is due.
        var mustLook = false
        var heartbeat = LogHeartbeat()
        var statistics = LogStatistics()
    }

    private enum Order {
        case write([LogBuffer])
        case recycle(Recycling)
        case noteWatermark
        case look
        case end(Ending)
    }

    private let mail = Monitor(Mail())
    private let durable: Atomic<UInt64>
    private let failed = Atomic<Bool>(false)
    private let syncMicroseconds = Atomic<Int64>(0)
    private let pool: SparePool
    private let desk: Monitor<WriterDesk>
    private let geometry: LogGeometry
    private let onDurable: @Sendable () -> Void

    init(_ desk: WriterDesk, durableEnd: UInt64, pool: SparePool, onDurable: @escaping @Sendable () -> Void) {
        durable = Atomic(durableEnd)
        self.pool = pool
        geometry = desk.geometry
        self.desk = Monitor(desk)
        self.onDurable = onDurable
    }

    func start() -> SystemThread { SystemThread(name: "log-writer") { self.run() } }

    var durableEnd: UInt64 { durable.load(ordering: .acquiring) }
    var hasFailed: Bool { failed.load(ordering: .acquiring) }
    var failure: LogError? { hasFailed ? mail.with { $0.failure } : nil }
    var heartbeat: LogHeartbeat { mail.with { $0.heartbeat } }
    var statistics: LogStatistics { mail.with { $0.statistics } }
    /// How long the last sync took.
    var lastSyncMicroseconds: Int64 { syncMicroseconds.load(ordering: .relaxed) }

    /// Hands buffers over.
    /// - Returns: The start of the oldest one that is not in work yet. Whatever is handed over later is written after
    ///   everything below has been synced.
    func add(_ buffers: [LogBuffer]) -> UInt64? {
        mail.update { mail in
            mail.queue.append(contentsOf: buffers)
            return mail.queue.first?.start
        }
    }

    /// Writes and syncs a buffer at once, in the calling thread, when nothing else waits or is in work.
    /// The caller sees what became of it; nobody is told.
    /// - Returns: False when the thread must do it; nothing was done then. True also after a failure.
    func writeInPlace(_ buffer: LogBuffer) -> Bool {
        let isTaken = mail.with { mail in
            guard !mail.isDeskTaken, mail.queue.isEmpty, mail.recyclings.isEmpty, mail.ending == nil,
                mail.failure == nil
            else { return false }
            mail.isDeskTaken = true
            mail.heartbeat.busySince = Clocks.monotonicMicroseconds()
            return true
        }
        guard isTaken else { return false }
        if desk.with({ $0.isWatermarkOld(durableEnd) }) {
            leaveDesk()
            return false
        }
        do throws(SystemError) {
            try write([buffer])
        } catch {
            fail(error)
        }
        leaveDesk()
        return true
    }

    private func leaveDesk() {
        let mustWake = mail.with { mail in
            mail.isDeskTaken = false
            mail.heartbeat.busySince = nil
            mail.mustLook = mail.isResting
            return mail.isResting
        }
        // It has to write down the watermark when it becomes quiet.
        if mustWake { mail.update { _ in } }
    }

    /// Lets the log begin at a later segment once everything below `after` is durable.
    func recycle(before segment: UInt64, after: UInt64) {
        mail.update { $0.recyclings.append(Recycling(first: segment, after: after)) }
    }

    func end(_ ending: Ending) { mail.update { $0.ending = ending } }

    private func run() {
        do throws(SystemError) {
            while true {
                let order = nextOrder()
                defer { if order != nil { mail.with { $0.isDeskTaken = false } } }
                switch order {
                case nil, .look: continue
                case .write(let buffers):
                    try write(buffers)
                    onDurable()
                case .recycle(let recycling): try recycle(recycling)
                case .noteWatermark:
                    try step { (desk) throws(SystemError) in
                        // Somebody may have been at the desk in the meantime.
                        if desk.idleMilliseconds(durableEnd) == 0 || desk.isWatermarkOld(durableEnd) {
                            try desk.writeWatermark(durableEnd)
                        }
                    }
                case .end(let ending):
                    if ending == .finish {
                        try step { (desk) throws(SystemError) in try desk.close(durableEnd) }
                    }
                    return
                }
            }
        } catch {
            fail(error)
        }
    }

    /// The disk's state is unknown now: no retry, nothing more is ever durable.
    private func fail(_ error: SystemError) {
        mail.update { mail in
            mail.failure = .system(error)
            mail.heartbeat.busySince = nil
        }
        failed.store(true, ordering: .releasing)
        onDurable()
    }

    /// Waits for work, and takes the desk.
    /// - Returns: Nil when there is none after all.
    private func nextOrder() -> Order? {
        let durable = durableEnd
        let (idle, isOld) = desk.with { ($0.idleMilliseconds(durable), $0.isWatermarkOld(durable)) }
        let order = mail.wait(milliseconds: idle) { mail -> Order? in
            mail.isResting = idle == nil
            if mail.isDeskTaken { return nil }
            if mail.mustLook {
                mail.mustLook = false
                mail.isResting = false
                return .look
            }
            // The failure was another thread's: nothing may be written any more, no superblock either.
            if mail.ending == .abandon || mail.failure != nil { return .end(.abandon) }
            guard let order = isOld ? .noteWatermark : Self.order(&mail, durable, geometry) else { return nil }
            mail.isDeskTaken = true
            mail.isResting = false
            mail.heartbeat.busySince = Clocks.monotonicMicroseconds()
            return order
        }
        if case .look? = order { return nil }
        if let order { return order }
        // Idle long enough, or somebody's write has to be waited for.
        return mail.with { mail in
            if mail.isDeskTaken || mail.ending != nil || mail.failure != nil { return nil }
            mail.isDeskTaken = true
            return .noteWatermark
        }
    }

    private static func order(_ mail: inout Mail, _ durable: UInt64, _ geometry: LogGeometry) -> Order? {
        if let recycling = mail.recyclings.first, recycling.after <= durable {
            mail.recyclings.removeFirst()
            return .recycle(recycling)
        }
        if let first = mail.queue.first {
            let segment = geometry.segment(of: first.start)
            let count = mail.queue.firstIndex { geometry.segment(of: $0.start) != segment } ?? mail.queue.count
            let batch = Array(mail.queue[..<count])
            mail.queue.removeFirst(count)
            return .write(batch)
        }
        return mail.ending == .finish ? .end(.finish) : nil
    }

    private func write(_ buffers: [LogBuffer]) throws(SystemError) {
        let bytes = buffers.reduce(0) { $0 + $1.bytes.count }
        let microseconds = try atDesk { (desk) throws(SystemError) in try desk.write(buffers) }
        syncMicroseconds.store(microseconds, ordering: .relaxed)
        mail.with { mail in
            mail.heartbeat.steps += 1
            mail.heartbeat.busySince = nil
            mail.statistics.syncs += 1
            mail.statistics.bytesWritten += UInt64(bytes)
            mail.statistics.lastSyncMicroseconds = microseconds
            mail.statistics.maxSyncMicroseconds = max(mail.statistics.maxSyncMicroseconds, microseconds)
        }
        if let last = buffers.last { durable.store(last.end, ordering: .releasing) }
    }

    private func recycle(_ recycling: Recycling) throws(SystemError) {
        let durable = durableEnd
        let retired = try step { (desk) throws(SystemError) in
            let old = desk.firstSegment
            try desk.moveFirst(to: recycling.first, watermark: durable)
            return old..<max(old, recycling.first)
        }
        if !retired.isEmpty { pool.retire(retired) }
    }

    private func step<Result>(
        _ body: (inout WriterDesk) throws(SystemError) -> Result
    ) throws(SystemError) -> Result {
        let result = try atDesk(body)
        mail.with { mail in
            mail.heartbeat.steps += 1
            mail.heartbeat.busySince = nil
        }
        return result
    }

    private func atDesk<Value>(
        _ body: (inout WriterDesk) throws(SystemError) -> Value
    ) throws(SystemError) -> Value {
        try desk.with { desk in
            do throws(SystemError) { return Result<Value, SystemError>.success(try body(&desk)) } catch {
                return .failure(error)
            }
        }.get()
    }
}
