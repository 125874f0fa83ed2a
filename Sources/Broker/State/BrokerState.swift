import BrokerProtocol

/// The moment of an input: both clocks, read once by whoever brings the input in.
struct Now: Sendable {
    /// Milliseconds; for leases and timeouts.
    var monotonic: Int64
    /// For deliver-at and expiry.
    var wall: WallTime
}

/// Limits that the state enforces; those of frames and sockets are the server's.
struct StateLimits: Hashable, Sendable {
    var bodyBytesMax = 1 << 20
    var headersBytesMax = 16 << 10
    var topicsMax = 10_000
    var subscriptionsMax = 1_000
    var patternsMax = 100
    var consumersPerConnectionMax = 1_000
    var leasesPerConnectionMax = 10_000
    var delayedMax = 1_000_000
    var schedulesMax = 1_000
    /// Dedup ids that a topic remembers; with more, the oldest is forgotten before its window is over.
    var dedupMax = 1_000_000
    /// How long a consumer of a group has a delivery; 0 means until somebody settles or claims it.
    var groupLeaseMilliseconds: Int64 = 0
    /// How long the log is kept after nothing in it is needed; 0: not at all.
    var historyMilliseconds: Int64 = 0
    /// Bytes of the log that are kept for that.
    var historyBytesMax: UInt64 = 1 << 30
    /// Bytes of messages in one reply to a Redis client, roughly.
    var replyBytesMax = 16 << 20
    /// Bytes of one frame to a native client.
    var frameBytesMax = 8 << 20
    var defaults = TopicSettings()
}

/// The broker's deterministic machine. Requests and time come in, facts go to the log, effects go out; no clock,
/// socket or file inside. The same inputs give the same outputs.
///
/// Each change is a ``Fact``: decided here, encoded, appended, then applied by ``apply(_:at:)``, which recovery uses
/// as well. An effect carries the log position that must be durable before it may leave the process.
///
/// Dictionaries are for lookups; whatever has an effect goes in the order of ids or of creation.
final class BrokerState {
    var limits: StateLimits {
        didSet {
            for id in sessions.keys.sorted() { sessions[id].map(rejoin) }
            for id in subscriptions.keys.sorted() { subscriptions[id].map(markDirty) }
        }
    }
    var journal: any Journal
    let segmentBytes: UInt64
    var random: SeededRandom
    /// Lease ids of this start begin above those of all earlier ones.
    var nextLease: UInt64 = 1
    var nextMessage: UInt64 = 1
    var nextTopic: UInt32 = 1
    var nextSubscription: UInt32 = 1

    var topicsByName: [TopicName: Topic] = [:]
    var topics: NumberMap<TopicID, Topic> = [:]
    var subscriptions: NumberMap<SubscriptionID, Subscription> = [:]
    var patterns = PatternTable()
    var messages = MessageTable()
    /// What only some messages have.
    var extras: NumberMap<MessageID, MessageExtras> = [:]
    /// How many subscriptions have given a message up, for those that at least one has.
    var deadOwed: [MessageID: UInt16] = [:]
    /// Messages that wait for their deliver-at, by the wall clock.
    var delayed = Heap<DelayedEntry>()
    /// Messages that wait after a verdict, by the steady clock.
    var backoffs = Heap<DelayedEntry>()
    /// Messages that end by themselves.
    var expiry = Expiry()
    /// Wall clock minus monotonic clock at the first look at both.
    private var wallShift: Int64?
    /// Redrives and purges by filter that have begun; see ``Grave/sweep``.
    var sweepCount: UInt64 = 0
    /// Redrives and purges that go on in the next turns, the oldest first.
    var sweeps: [DeadSweep] = []
    /// By their ids.
    var jobs: [RedriveJob] = []
    /// Subscriptions with more dead letters than they may have.
    var alarmCount = 0
    /// Verdicts that are still to come, over all subscriptions; each has log space reserved.
    var owedCount = 0
    var delayedCount = 0

    var sessions: NumberMap<SessionID, Session> = [:]
    var leases: NumberMap<LeaseID, Lease> = [:]
    var leaseDeadlines = Heap<LeaseDeadline>()
    var popDeadlines = Heap<PopDeadline>()
    var nextPop: UInt64 = 1
    var waitingPopCount = 0
    /// Redis clients that wait for new entries of streams, longest first.
    var readers: [WaitingPop] = []
    /// Publishes that the readers have seen.
    var publishedForReaders: UInt64 = 0
    /// Sessions of groups' consumers; their ids are none of a connection's.
    var nextGroupSession: UInt64 = SessionID.firstOfGroups
    var dirty: [Subscription] = []
    /// Subscriptions that could hand out nothing because the log is full.
    var stalled: [Subscription] = []
    /// When subscriptions go on that wait for tokens of their rates, on the monotonic clock.
    var wakes = Heap<SubscriptionWake>()
    /// Subscriptions whose ordering keys are parked by dead letters.
    var parkingCount = 0
    /// Subscriptions that go on in the next turn, because looking for a free ordering key took long enough.
    var unfinished: [Source] = []
    /// Subscriptions that read older messages, oldest reading first.
    var readings: [Subscription] = []
    /// There was no space for the next piece.
    var areReadingsStuck = false
    /// Topics that keep acknowledged messages, perhaps too many.
    var retainersDue: [Topic] = []
    var retainDeadlines = Heap<RetainDeadline>()
    private(set) var isDraining = false
    /// The next record may be the first of its segment, and nobody would notice: those of the last run may be torn.
    var definitionsAreDue = false
    /// Bytes that all definitions take, roughly.
    var definitionBytes = 0

    var totals = Totals()
    var segments = SegmentLedger()
    var clock = LogClock()

    /// Outputs in order; the server takes them.
    var effects: [PendingEffect] = []
    /// Those of plain publishes; they may overtake the other effects.
    var confirmations: [Confirmation] = []
    /// End of the last record that an effect depends on.
    var requiredEnd: UInt64 = 0
    /// Facts that become one record.
    var transaction: Transaction?
    var schedules = ScheduleTable()
    /// Rules of time zones that were asked for.
    var zones: [String: ZoneRules] = [:]
    /// The TZif file of a zone; nil when there is none.
    var readZone: (String) -> [UInt8]? = { _ in nil }
    var pauseEnds = PauseEnds()
    /// A transaction could not be logged after it was applied: what RAM holds is not what the log holds.
    var failure: BrokerError?
    /// Reads a message from the log, which may hold it in memory or on disk.
    var readMessage: (RecordAddress) throws(BrokerError) -> PublishedMessage = { (address) throws(BrokerError) in
        throw BrokerError(.unsupported, "nothing reads the log at \(address.position)")
    }

    struct Totals {
        var published: UInt64 = 0
        var delivered: UInt64 = 0
        var acknowledged: UInt64 = 0
    }

    struct MessageExtras {
        var orderingKey: String?
        var deliverAt: WallTime?
        var expiresAt: WallTime?
    }

    init(limits: StateLimits, journal: any Journal, seed: UInt64) {
        self.limits = limits
        self.journal = journal
        self.random = SeededRandom(seed: seed)
        segmentBytes = journal.segmentBytes
    }

    /// Call once, after replay: leases of an earlier start can never be taken for new ones, and counters begin again.
    func begin(epoch: UInt32) {
        nextLease = UInt64(epoch) << 40 | 1
        definitionsAreDue = true
        totals = Totals()
        for topic in topics.values { topic.published = 0 }
        for id in subscriptions.keys.sorted() {
            guard let subscription = subscriptions[id] else { continue }
            subscription.acknowledged = 0
            markDirty(subscription)
        }
    }

    /// The wall clock as it would be without jumps since the start. Backoffs go by it: a jump forward does not send
    /// all retries at once, a jump back does not hold them up.
    func steady(_ now: Now) -> WallTime {
        let shift = wallShift ?? now.wall.milliseconds - now.monotonic
        wallShift = shift
        return WallTime(milliseconds: now.monotonic + shift)
    }

    // MARK: Facts

    /// Logs the facts as one record and applies them. The first record of a segment begins with all definitions.
    /// - Parameter isAwaited: Whether later effects wait until the record is durable.
    func record(_ facts: [Fact], isAwaited: Bool = true) throws(BrokerError) {
        if facts.isEmpty { return }
        var facts = parkingCount == 0 ? facts : parking(facts)
        if transaction != nil { return try gather(facts, isAwaited: isAwaited) }
        if let time = clock.due { facts.insert(.clocked(time), at: 0) }
        if try recordInPlace(facts, isAwaited: isAwaited) { return }
        let (payload, offsets) = FactCodec.encode(facts)
        var head: [UInt8] = []
        if definitionsAreDue || journal.startsSegment(payloadBytes: payload.count) {
            head = FactCodec.encode(definitions()).payload
        }
        let position = try journal.append(head.isEmpty ? payload : head + payload)
        if !head.isEmpty { definitionsAreDue = false }
        if isAwaited { requiredEnd = journal.end }
        for (fact, offset) in zip(facts, offsets) {
            apply(fact, at: RecordAddress(position: position, offset: head.count + offset))
        }
    }

    /// The way of nearly all records: the facts are written straight into the log's batch.
    /// - Returns: False when the record opens a segment; nothing was done then.
    private func recordInPlace(_ facts: [Fact], isAwaited: Bool) throws(BrokerError) -> Bool {
        if definitionsAreDue { return false }
        var offsets: [Int] = []
        guard let position = try journal.append(writing: { offsets = FactCodec.encode(facts, into: &$0) }) else {
            return false
        }
        if isAwaited { requiredEnd = journal.end }
        if offsets.isEmpty {
            apply(facts[0], at: RecordAddress(position: position, offset: 0))
        } else {
            for index in facts.indices {
                apply(facts[index], at: RecordAddress(position: position, offset: offsets[index]))
            }
        }
        return true
    }

    /// - Throws: `DISK_FULL` when these bytes, and the verdicts that are still to come, need more than there is.
    func demandSpace(bytes: Int, owing: Int = 0) throws(BrokerError) {
        let gathered = transaction?.payload.count ?? 0
        if bytes + gathered + (owedCount + owing) * Self.settleBytes > journal.publishBytesFree {
            throw BrokerError(.diskFull, "no disk space for publishes and definitions; settles still work")
        }
    }

    /// Whether facts of this size leave room for an ack of everything that is owed. A log that is full of failures
    /// could never become shorter again.
    func leavesRoomForAcks(_ bytes: Int) -> Bool { bytes + owedCount * Self.settleBytes <= journal.bytesFree }

    /// Facts that free space or end something; their space is reserved.
    /// - Returns: False when even the reserve is used up; nothing changed then.
    @discardableResult
    func recordReserved(_ facts: [Fact], isAwaited: Bool = true) -> Bool {
        do throws(BrokerError) {
            try record(facts, isAwaited: isAwaited)
            return true
        } catch {
            return false
        }
    }

    func emit(_ effect: Effect) {
        if transaction == nil {
            effects.append(PendingEffect(requires: requiredEnd, effect: effect))
        } else {
            transaction?.effects.append(effect)
        }
    }

    func respond(_ origin: Origin, _ response: Response) { emit(.respond(origin, response)) }

    func markDirty(_ subscription: Subscription) {
        if let pattern = subscription.pattern { pattern.note(subscription) }
        if subscription.isDirty { return }
        subscription.isDirty = true
        dirty.append(subscription)
    }

    /// No new deliveries from here on; what is leased may still be settled.
    func drain() {
        isDraining = true
        for id in sessions.keys.sorted() {
            guard let session = sessions[id] else { continue }
            for number in session.pops.keys.sorted() {
                if let pop = removePop(number, of: session) { refuse(pop, Self.draining) }
            }
            for consumer in session.consumers.keys.sorted() { emit(.endConsumer(id, consumer, nil)) }
        }
    }

    static let draining = BrokerError(.shuttingDown, "the broker is shutting down; connect again later")

    // MARK: Lookups

    func subscription(named name: SubscriptionName) -> Subscription? {
        topicsByName[name.topic]?.subscriptions.first { $0.name.name == name.name }
    }

    func topic(_ name: TopicName) throws(BrokerError) -> Topic {
        guard let topic = topicsByName[name] else { throw BrokerError(.topicUnknown, "there is no topic \(name)") }
        return topic
    }

    func existing(_ name: SubscriptionName) throws(BrokerError) -> Subscription {
        if patterns[name] != nil {
            throw BrokerError(
                .unsupported, "\(name) is a pattern; name one of its members, which have the topics' names")
        }
        _ = try topic(name.topic)
        guard let subscription = subscription(named: name) else {
            throw BrokerError(.subscriptionUnknown, "there is no subscription \(name.topic)@\(name.name)")
        }
        return subscription
    }
}
