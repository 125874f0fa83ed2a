import BrokerProtocol
import SegmentLog

/// State and log together, without sockets: requests in, and effects out once the records that they depend on are
/// durable. Confined to the loop.
final class Engine {
    let state: BrokerState
    let log: SegmentLog
    /// Effects whose records are not durable yet, in order.
    private var waiting = SlidingArray<PendingEffect>()
    private var confirmations = SlidingArray<Confirmation>()
    private var scan: Scan?
    /// Damage that the state met when it read a message.
    private(set) var readFailure: LogError?

    /// The way through the oldest segment.
    private struct Scan {
        let cursor: SegmentCursor
        /// A record that found no space to be written again; it is tried again.
        var refused: (position: UInt64, payload: [UInt8])?
    }

    /// How much of a segment one turn scans: short enough for nobody to notice.
    private static let scanBytesPerTurn = 256 << 10

    private init(state: BrokerState, log: SegmentLog) {
        self.state = state
        self.log = log
    }

    /// Opens the log and replays it.
    /// - Throws: ``LogError``, or `Malformed` for a record that is whole but unknown to this version.
    static func recover(
        _ configuration: BrokerConfiguration, seed: UInt64, onDurable: @escaping @Sendable () -> Void,
        progress: (RecoveryProgress) -> Void
    ) throws -> (Engine, RecoveryReport) {
        let replay = ReplayJournal(segmentBytes: UInt64(configuration.segmentBytes))
        let state = BrokerState(limits: configuration.stateLimits, journal: replay, seed: seed)
        let (log, report) = try SegmentLog.open(
            directory: configuration.dataDirectory, options: configuration.logOptions, onDurable: onDurable,
            progress: progress
        ) { position, payload in
            for (fact, offset) in try FactCodec.decode(payload) {
                state.apply(fact, at: RecordAddress(position: position, offset: offset))
            }
        }
        state.journal = LogJournal(log)
        state.begin(epoch: log.epoch)
        let engine = Engine(state: state, log: log)
        state.readZone = ZoneDirectory.read
        state.readMessage = { [unowned engine] (address) throws(BrokerError) in
            do throws(LogError) {
                return try engine.message(at: address)
            } catch {
                engine.readFailure = error
                throw BrokerError(.shuttingDown, "\(error)")
            }
        }
        return (engine, report)
    }

    // MARK: Turns

    /// The end of a turn, before the log is flushed: hands out what is ready, and shortens the log.
    /// - Returns: Whether there is more to do at once.
    func endTurn(now: Now) throws(LogError) -> Bool {
        state.dispatch(now: now)
        let hasMore = try shortenLog(now: now)
        waiting.append(taking: &state.effects)
        confirmations.append(taking: &state.confirmations)
        return hasMore
    }

    /// Gives out, in order, every effect whose record is durable.
    func release(
        confirm: (Confirmation) -> Void, _ perform: (Effect) throws(LogError) -> Void
    ) throws(LogError) {
        let durableEnd = log.durableEnd
        releaseConfirmations(before: durableEnd, confirm)
        // Ours alone while it lasts: each use of a class's would be checked for a second one.
        var waiting = SlidingArray<PendingEffect>()
        swap(&waiting, &self.waiting)
        defer { swap(&waiting, &self.waiting) }
        while !waiting.isEmpty, waiting[waiting.start].requires <= durableEnd {
            let effect = waiting.removeFirst().effect
            if case .recycle(let segment) = effect { log.recycle(before: segment) } else { try perform(effect) }
        }
    }

    private func releaseConfirmations(before durableEnd: UInt64, _ confirm: (Confirmation) -> Void) {
        var waiting = SlidingArray<Confirmation>()
        swap(&waiting, &confirmations)
        defer { swap(&waiting, &confirmations) }
        var index = waiting.start
        while index < waiting.end, waiting[index].requires <= durableEnd {
            confirm(waiting[index])
            index += 1
        }
        waiting.drop(before: index)
    }

    /// Bytes that were logged and are not durable.
    var unsyncedBytes: Int { Int(log.end - log.durableEnd) }

    private func shortenLog(now: Now) throws(LogError) -> Bool {
        switch state.retentionStep(current: log.lastSegment) {
        case .nothing: return false
        case .retire(let segment):
            state.retire(segment)
            return true
        case .scan(let segment): return try scan(segment, now: now)
        }
    }

    private func scan(_ segment: UInt64, now: Now) throws(LogError) -> Bool {
        if scan?.cursor.segment != segment { scan = try log.cursor(of: segment).map { Scan(cursor: $0) } }
        guard var scan else { return false }
        defer { self.scan = scan }
        var bytes = 0
        while bytes < Self.scanBytesPerTurn {
            if scan.refused == nil { scan.refused = try scan.cursor.next() }
            guard let (position, payload) = scan.refused else {
                state.retire(segment)
                return true
            }
            guard state.restate(try facts(payload, position), at: position, now: now) else { return false }
            scan.refused = nil
            bytes += payload.count
        }
        return true
    }

    private func facts(_ payload: [UInt8], _ position: UInt64) throws(LogError) -> [(fact: Fact, offset: Int)] {
        do throws(FactCodec.Malformed) {
            return try FactCodec.decode(payload)
        } catch {
            throw damage(position, error)
        }
    }

    private func damage(_ position: UInt64, _ error: FactCodec.Malformed) -> LogError {
        .damaged(
            file: "segment \(position / log.segmentBytes)", offset: Int(position % log.segmentBytes),
            reason: "the record's checksum is right, its content is not: \(error.what) at byte \(error.offset)")
    }

    // MARK: Bodies

    func message(_ notice: Notice) throws(LogError) -> PublishedMessage {
        // It may have moved since the notice was written.
        try message(at: state.messages[notice.id]?.address ?? notice.address)
    }

    private func message(at address: RecordAddress) throws(LogError) -> PublishedMessage {
        let payload = try log.read(address.position)
        do throws(FactCodec.Malformed) {
            return try FactCodec.message(in: payload, at: address.offset)
        } catch {
            throw damage(address.position, error)
        }
    }

    func delivery(_ notice: Notice, hasBody: Bool = true) throws(LogError) -> Delivery {
        delivery(notice, of: try message(notice), hasBody: hasBody)
    }

    /// Adds a delivery to its frame; headers and body go from the log's bytes straight into it.
    /// - Returns: False, with nothing added, when the lease is over.
    func encode(_ notice: Notice, into writer: inout ByteWriter) throws(LogError) -> Bool {
        guard isLive(notice) else { return false }
        let address = state.messages[notice.id]?.address ?? notice.address
        let (bytes, payload) = try log.locate(address.position)
        do throws(FactCodec.Malformed) {
            let (message, content) = try FactCodec.outline(in: bytes, payload, at: address.offset)
            writer.delivery(delivery(notice, of: message), content: bytes[content])
            return true
        } catch {
            throw damage(address.position, error)
        }
    }

    private func delivery(_ notice: Notice, of message: PublishedMessage, hasBody: Bool = true) -> Delivery {
        Delivery(
            consumer: notice.consumer, lease: notice.lease, leaseMilliseconds: notice.leaseMilliseconds,
            id: notice.id, subscription: notice.subscription, attempt: notice.attempt,
            deliveries: notice.deliveries, publishedAt: message.publishedAt, redrives: notice.redrives,
            lastError: notice.lastError, priority: message.priority, orderingKey: message.orderingKey,
            headers: message.headers, body: hasBody ? message.body : [])
    }

    func deadLetter(_ notice: Notice) throws(LogError) -> DeadLetter {
        let message = try message(notice)
        return DeadLetter(
            id: notice.id, subscription: notice.subscription, code: notice.grave?.reason,
            reason: notice.grave?.text ?? "unknown", lastError: notice.lastError, lastConsumer: notice.lastConsumer,
            attempts: notice.attempt, deliveries: notice.deliveries, redrives: notice.redrives,
            attemptTimes: notice.failedAt, publishedAt: message.publishedAt,
            deadAt: notice.grave?.at ?? message.publishedAt, priority: message.priority,
            orderingKey: message.orderingKey, headers: message.headers, body: message.body)
    }

    func page(_ found: BrowseNotices) throws(LogError) -> BrowsePage {
        var messages: [BrowsedMessage] = []
        for browsed in found.notices {
            messages.append(
                BrowsedMessage(
                    message: try delivery(browsed.notice, hasBody: found.wantsBodies), state: browsed.state,
                    readyAt: browsed.readyAt, holder: browsed.holder, leaseMilliseconds: browsed.leaseMilliseconds,
                    death: browsed.notice.grave.map { grave in
                        BrowsedMessage.Death(code: grave.reason, reason: grave.text, at: grave.at)
                    }))
        }
        return BrowsePage(messages: messages, next: found.next)
    }

    /// Whether a delivery that waits for its connection still has its lease.
    func isLive(_ notice: Notice) -> Bool { state.leases[notice.lease] != nil }
}

/// The journal while the log is read: nothing can be added.
private final class ReplayJournal: Journal {
    let segmentBytes: UInt64
    init(segmentBytes: UInt64) { self.segmentBytes = segmentBytes }
    func append(_ payload: [UInt8]) throws(BrokerError) -> UInt64 { preconditionFailure("the log is being read") }
    func append(writing write: (inout ByteWriter) -> Void) throws(BrokerError) -> UInt64? { try append([]) }
    var end: UInt64 { 0 }
    func startsSegment(payloadBytes: Int) -> Bool { false }
    var publishBytesFree: Int { 0 }
    var bytesFree: Int { 0 }
    var firstSegment: UInt64 { 0 }
}
