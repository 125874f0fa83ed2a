import LinuxIO
import Synchronization

/// The thread that writes and syncs. It takes all buffers that gathered while the last ones were syncing, writes them,
/// and syncs once; nothing of a batch is written before all before it is synced.
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
        var heartbeat = LogHeartbeat()
        var statistics = LogStatistics()
    }

    private enum Order {
        case write([LogBuffer])
        case recycle(Recycling)
        case end(Ending)
    }

    private let mail = Monitor(Mail())
    private let durable: Atomic<UInt64>
    private let failed = Atomic<Bool>(false)
    private let pool: SparePool
    private let onDurable: @Sendable () -> Void

    init(durableEnd: UInt64, pool: SparePool, onDurable: @escaping @Sendable () -> Void) {
        durable = Atomic(durableEnd)
        self.pool = pool
        self.onDurable = onDurable
    }

    func start(_ desk: WriterDesk) -> SystemThread {
        SystemThread(name: "log-writer") {
            var desk = desk
            self.run(&desk)
        }
    }

    var durableEnd: UInt64 { durable.load(ordering: .acquiring) }
    var hasFailed: Bool { failed.load(ordering: .acquiring) }
    var failure: LogError? { hasFailed ? mail.with { $0.failure } : nil }
    var heartbeat: LogHeartbeat { mail.with { $0.heartbeat } }
    var statistics: LogStatistics { mail.with { $0.statistics } }

    /// Hands buffers over.
    /// - Returns: The start of the oldest one that is not in work yet. Whatever is handed over later is written after
    ///   everything below has been synced.
    func add(_ buffers: [LogBuffer]) -> UInt64? {
        mail.update { mail in
            mail.queue.append(contentsOf: buffers)
            return mail.queue.first?.start
        }
    }

    /// Lets the log begin at a later segment once everything below `after` is durable.
    func recycle(before segment: UInt64, after: UInt64) {
        mail.update { $0.recyclings.append(Recycling(first: segment, after: after)) }
    }

    func end(_ ending: Ending) { mail.update { $0.ending = ending } }

    private func run(_ desk: inout WriterDesk) {
        do throws(SystemError) {
            while true {
                guard !desk.isWatermarkOld(durableEnd), let order = nextOrder(desk) else {
                    try step { () throws(SystemError) in try desk.writeWatermark(durableEnd) }
                    continue
                }
                switch order {
                case .write(let buffers): try write(buffers, &desk)
                case .recycle(let recycling): try recycle(recycling, &desk)
                case .end(let ending):
                    if ending == .finish { try desk.close(durableEnd) }
                    return
                }
            }
        } catch {
            // The disk's state is unknown now: no retry, nothing more is ever durable.
            mail.update { mail in
                mail.failure = .system(error)
                mail.heartbeat.busySince = nil
            }
            failed.store(true, ordering: .releasing)
            onDurable()
        }
    }

    /// - Returns: Nil when the log has been idle long enough to write down its watermark.
    private func nextOrder(_ desk: borrowing WriterDesk) -> Order? {
        let durable = durableEnd
        let geometry = desk.geometry
        return mail.wait(milliseconds: desk.idleMilliseconds(durable)) { mail -> Order? in
            if mail.ending == .abandon { return .end(.abandon) }
            if let recycling = mail.recyclings.first, recycling.after <= durable {
                mail.recyclings.removeFirst()
                mail.heartbeat.busySince = Clocks.monotonicMicroseconds()
                return .recycle(recycling)
            }
            if let first = mail.queue.first {
                let segment = geometry.segment(of: first.start)
                let count = mail.queue.firstIndex { geometry.segment(of: $0.start) != segment } ?? mail.queue.count
                let batch = Array(mail.queue[..<count])
                mail.queue.removeFirst(count)
                mail.heartbeat.busySince = Clocks.monotonicMicroseconds()
                return .write(batch)
            }
            if mail.ending == .finish { return .end(.finish) }
            return nil
        }
    }

    private func write(_ buffers: [LogBuffer], _ desk: inout WriterDesk) throws(SystemError) {
        let bytes = buffers.reduce(0) { $0 + $1.bytes.count }
        let microseconds = try desk.write(buffers)
        mail.with { mail in
            mail.heartbeat.steps += 1
            mail.heartbeat.busySince = nil
            mail.statistics.syncs += 1
            mail.statistics.bytesWritten += UInt64(bytes)
            mail.statistics.lastSyncMicroseconds = microseconds
            mail.statistics.maxSyncMicroseconds = max(mail.statistics.maxSyncMicroseconds, microseconds)
        }
        if let last = buffers.last { durable.store(last.end, ordering: .releasing) }
        onDurable()
    }

    private func recycle(_ recycling: Recycling, _ desk: inout WriterDesk) throws(SystemError) {
        let old = desk.firstSegment
        let durable = durableEnd
        try step { () throws(SystemError) in try desk.moveFirst(to: recycling.first, watermark: durable) }
        if old < recycling.first { pool.retire(old..<recycling.first) }
    }

    private func step(_ body: () throws(SystemError) -> Void) throws(SystemError) {
        mail.with { $0.heartbeat.busySince = Clocks.monotonicMicroseconds() }
        try body()
        mail.with { mail in
            mail.heartbeat.steps += 1
            mail.heartbeat.busySince = nil
        }
    }
}
