import BrokerProtocol

/// The moment of an input: both clocks, read once by whoever brings the input in.
struct Now: Sendable {
    /// For leases and timeouts.
    var monotonic: Int64
    /// For deliver-at, expiry and backoff.
    var wall: WallTime
}

/// Limits that the state enforces; those of frames and sockets are the server's.
struct StateLimits: Hashable, Sendable {
    var bodyBytesMax = 1 << 20
    var headersBytesMax = 16 << 10
    var topicsMax = 10_000
    var subscriptionsMax = 1_000
    var consumersPerConnectionMax = 1_000
    var leasesPerConnectionMax = 10_000
    var delayedMax = 1_000_000
    var defaults = TopicSettings()
}

/// The log as the state sees it: payloads in, positions out.
struct FactJournal {
    let append: (_ payload: [UInt8]) throws(BrokerError) -> UInt64
    /// Position after the last record.
    let end: () -> UInt64
    /// Bytes that publishes may still use; settles may use more.
    let publishBytesFree: () -> Int
}

/// The broker's deterministic machine. Requests and time come in, facts go to the log, effects go out; no clock,
/// socket or file inside. The same inputs give the same outputs.
///
/// Each change is a ``Fact``: decided here, encoded, appended, then applied by ``apply(_:at:)``, which recovery uses
/// as well. An effect carries the log position that must be durable before it may leave the process.
final class BrokerState {
    var limits: StateLimits
    let journal: FactJournal
    var random: SeededRandom
    /// Lease ids of this start begin above those of all earlier ones.
    var nextLease: UInt64 = 1
    var nextMessage: UInt64 = 1
    var nextTopic: UInt32 = 1
    var nextSubscription: UInt32 = 1

    var topicsByName: [TopicName: TopicID] = [:]
    var topics: [TopicID: Topic] = [:]
    var subscriptions: [SubscriptionID: Subscription] = [:]
    var messages: [MessageID: Message] = [:]
    var delayed = Heap<DelayedEntry>()

    var sessions: [SessionID: Session] = [:]
    var leases: [LeaseID: Lease] = [:]
    var leaseDeadlines = Heap<LeaseDeadline>()
    var popDeadlines = Heap<PopDeadline>()
    var nextPop: UInt64 = 1
    var dirty: [SubscriptionID] = []
    var isDraining = false

    var totals = Totals()
    /// Live message bytes by log segment.
    var liveBytes: [UInt64: Int] = [:]
    let segmentBytes: UInt64

    /// Outputs in order; the server takes them.
    var effects: [PendingEffect] = []
    /// End of the last record that an effect depends on.
    private var requiredEnd: UInt64 = 0

    struct Totals {
        var published: UInt64 = 0
        var delivered: UInt64 = 0
        var acknowledged: UInt64 = 0
    }

    init(limits: StateLimits, journal: FactJournal, seed: UInt64, segmentBytes: UInt64) {
        self.limits = limits
        self.journal = journal
        self.random = SeededRandom(seed: seed)
        self.segmentBytes = segmentBytes
    }

    /// Call after replay: leases of an earlier start can never be taken for new ones.
    func begin(epoch: UInt32) {
        nextLease = UInt64(epoch) << 40 | 1
        for topic in topics.values.sorted(by: { $0.id < $1.id }) {
            for subscription in topic.subscriptions { markDirty(subscription) }
        }
    }

    // MARK: Facts

    /// Logs the facts as one record and applies them.
    /// - Parameter isAwaited: Whether later effects wait until the record is durable.
    func record(_ facts: [Fact], isAwaited: Bool = true) throws(BrokerError) {
        if facts.isEmpty { return }
        let (payload, offsets) = FactCodec.encode(facts)
        let position = try journal.append(payload)
        if isAwaited { requiredEnd = journal.end() }
        for (fact, offset) in zip(facts, offsets) {
            apply(fact, at: RecordAddress(position: position, offset: offset))
        }
    }

    /// Facts that must not be refused: they free space or end something, and their space is reserved.
    /// - Returns: False when even the reserve is used up; nothing changed then, and the caller tries again later.
    @discardableResult
    func recordReserved(_ facts: [Fact], isAwaited: Bool = true) -> Bool {
        do throws(BrokerError) {
            try record(facts, isAwaited: isAwaited)
            return true
        } catch {
            return false
        }
    }

    func emit(_ effect: Effect) { effects.append(PendingEffect(requires: requiredEnd, effect: effect)) }

    func respond(_ origin: Origin, _ response: Response) {
        emit(.respond(origin, response))
    }

    func markDirty(_ id: SubscriptionID) {
        guard subscriptions[id]?.isDirty == false else { return }
        subscriptions[id]?.isDirty = true
        dirty.append(id)
    }

    // MARK: Lookups

    func topic(named name: TopicName) -> Topic? { topicsByName[name].flatMap { topics[$0] } }

    func subscription(named name: SubscriptionName) -> Subscription? {
        guard let topic = topic(named: name.topic) else { return nil }
        for id in topic.subscriptions where subscriptions[id]?.name.name == name.name { return subscriptions[id] }
        return nil
    }

    func settings(of id: SubscriptionID) -> DeliverySettings {
        guard let subscription = subscriptions[id] else { return limits.defaults.delivery }
        return subscription.settings ?? topics[subscription.topic]?.settings.delivery ?? limits.defaults.delivery
    }

    /// The oldest segment that holds a live message; nil when none does.
    var oldestLiveSegment: UInt64? { liveBytes.keys.min() }
}

/// One delayed message of one subscription. Earliest first.
struct DelayedEntry: Comparable {
    let until: WallTime
    let message: MessageID
    let subscription: SubscriptionID
    static func < (left: Self, right: Self) -> Bool {
        (left.until, left.message, left.subscription) < (right.until, right.message, right.subscription)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same on every machine.
struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
