/// How a subscription delivers: its leases, its retries, and when it gives up.
public struct DeliverySettings: Hashable, Sendable {
    /// Deliveries without success before the message is dead-lettered; 1 to 1000.
    public var attemptsMax: UInt32 = 10
    /// The lease that a delivery starts with; 100 ms to 12 h.
    public var leaseMilliseconds: Int64 = 30_000
    /// However often it is extended, a lease ends this long after its delivery; up to 7 days.
    public var leaseTotalMilliseconds: Int64 = 12 * 3_600_000
    /// How the time to the next try grows.
    public var backoff = Backoff.exponential
    /// The times of `backoff = list`, in milliseconds; 1 to 100, each up to 7 days. The last one goes on.
    public var backoffList: [Int64] = [1_000, 10_000, 60_000]
    /// When the next try would come later than this after the publish, the message is dead; 0 is never, up to 366 days.
    public var retryAgeMaxMilliseconds: Int64 = 0
    /// First step of the backoff; 0 to 1 day.
    public var backoffBaseMilliseconds: Int64 = 1_000
    /// Upper bound of the backoff; up to 7 days.
    public var backoffCapMilliseconds: Int64 = 600_000
    /// Deliveries whose consumer died without a verdict before the message counts as poison; 1 to 1000.
    public var poisonDeathsMax: UInt32 = 3
    /// A message that has waited longer is overdue: it gets every fourth delivery, whatever its priority; 0 (never) to
    /// 7 days.
    public var priorityAgeingMilliseconds: Int64 = 60_000
    /// Bound of the deliveries.
    public var rate = DeliveryRate.unbounded
    /// Deliveries that may come at once after a pause; 0: what `rate` gives in a second, at least one.
    public var rateBurst: UInt32 = 0
    /// Bound of the deliveries of each ordering key.
    public var keyRate = DeliveryRate.unbounded
    /// Bound of the leases; 0: none.
    public var inFlightMax: UInt32 = 0
    /// The header whose values are served in turn; empty: none.
    public var fairHeader = ""
    /// Messages in a row, by value of `fairHeader`.
    public var fairWeights = FairWeights()
    /// Whether an ordering key stays with the consumer that got it first.
    public var isSticky = false
    /// Whether an ordering key is parked when one of its messages becomes a dead letter.
    public var parksAfterDead = false
    /// With more dead letters the subscription raises an alarm; 0: never.
    public var deadMax: UInt64 = 0
    /// What stood in a frame and is no setting of this version, or no value of it.
    package private(set) var unreadable: [Header] = []

    public enum Backoff: String, Hashable, Sendable, CaseIterable {
        /// A random time up to `backoff_base`·2ⁿ.
        case exponential
        /// `backoff_base`·(n+1).
        case linear
        /// The n-th of `backoff_list`.
        case list
    }

    public init() {}

    mutating func take(_ key: String, _ value: String) {
        if (try? set(key, to: value)) != true { unreadable.append(Header(key, value)) }
    }

    /// Why the first unreadable entry is one.
    package var problem: BrokerError? {
        guard let first = unreadable.first else { return nil }
        var copy = self
        do throws(BrokerError) {
            return try copy.set(first.key, to: first.value) ? nil : SettingText.unknown(first.key)
        } catch {
            return error
        }
    }

    /// - Throws: `SETTING_INVALID`, naming the setting and its range.
    public func validate() throws(BrokerError) {
        if let problem { throw problem }
        let day: Int64 = 86_400_000
        try demand((1...1000).contains(attemptsMax), "attempts_max is 1 to 1000")
        try demand((100...day / 2).contains(leaseMilliseconds), "lease is 100ms to 12h")
        try demand((leaseMilliseconds...7 * day).contains(leaseTotalMilliseconds), "lease_total is lease to 7d")
        try demand((0...day).contains(backoffBaseMilliseconds), "backoff_base is 0 to 1d")
        try demand(
            (backoffBaseMilliseconds...7 * day).contains(backoffCapMilliseconds), "backoff_cap is backoff_base to 7d")
        try demand((1...1000).contains(poisonDeathsMax), "poison_deaths_max is 1 to 1000")
        try demand(
            (1...100).contains(backoffList.count) && backoffList.allSatisfy { (0...7 * day).contains($0) },
            "backoff_list is 1 to 100 time spans, each 0 to 7d")
        try demand((0...366 * day).contains(retryAgeMaxMilliseconds), "retry_age_max is 0 to 366d")
        try demand((0...7 * day).contains(priorityAgeingMilliseconds), "priority_ageing is 0 to 7d")
        try demand(rate.count <= DeliveryRate.countMax, "rate is 0, or 1 to \(DeliveryRate.countMax) in a period")
        try demand(rateBurst <= DeliveryRate.countMax, "rate_burst is 0 to \(DeliveryRate.countMax)")
        try demand(
            keyRate.count <= DeliveryRate.countMax, "key_rate is 0, or 1 to \(DeliveryRate.countMax) in a period")
        try demand(fairHeader.utf8.count <= 255, "fair_header has at most 255 bytes")
        try demand(
            fairWeights.isValid,
            "fair_weights are 1 to \(FairWeights.weightMax), for at most \(FairWeights.countMax) values, in at most "
                + "\(FairWeights.bytesMax) bytes")
    }
}

/// The settings of a topic. Stored in the log.
public struct TopicSettings: Hashable, Sendable {
    /// Open messages, which some subscription has to deliver still; 0 means no limit of its own.
    public var messagesMax: UInt64 = 0
    /// Bytes of bodies and headers of the open messages; 0 means no limit of its own.
    public var bytesMax: UInt64 = 0
    /// What a publish does that would go beyond these two.
    public var overflow = Overflow.reject
    /// A message that waits longer, from its publish or its deliver-at on, is over; 0 means never, up to 366 days.
    public var messageAgeMaxMilliseconds: Int64 = 0
    /// What happens to a message whose time is over before it was delivered.
    public var expired = Expired.deadLetter
    /// How long a dedup id is remembered; 0 to 7 days.
    public var dedupWindowMilliseconds: Int64 = 600_000
    /// How long after its publish an acknowledged message is kept; 0 means that time does not bound it.
    public var retainMilliseconds: Int64 = 0
    /// Bytes of acknowledged messages that are kept; 0 means that bytes do not bound them. Both 0: none is kept.
    public var retainBytes: UInt64 = 0
    public var retains: Bool { retainMilliseconds > 0 || retainBytes > 0 }
    /// How many dedup ids are remembered; 1 to 1,000,000.
    public var dedupMax: UInt64 = 1_000_000
    /// For the subscriptions that have no settings of their own.
    public var delivery = DeliverySettings()

    public enum Overflow: String, Hashable, Sendable, CaseIterable {
        /// The publish is refused with `TOPIC_FULL`.
        case reject
        /// The oldest ready messages are dropped.
        case dropOldest = "drop_oldest"
        /// The oldest ready messages become dead letters.
        case deadLetterOldest = "dead_letter_oldest"
    }

    public enum Expired: String, Hashable, Sendable, CaseIterable {
        case deadLetter = "dead_letter"
        case drop
    }

    /// What stood in a frame and is no setting of this version, or no value of it.
    package private(set) var unreadable: [Header] = []

    public init() {}

    mutating func take(_ key: String, _ value: String) {
        if (try? set(key, to: value)) != true { unreadable.append(Header(key, value)) }
    }

    /// Why the first unreadable entry is one.
    package var problem: BrokerError? {
        guard let first = unreadable.first else { return nil }
        var copy = self
        do throws(BrokerError) {
            return try copy.set(first.key, to: first.value) ? nil : SettingText.unknown(first.key)
        } catch {
            return error
        }
    }

    /// - Throws: `SETTING_INVALID`, naming the setting and its range.
    public func validate() throws(BrokerError) {
        if let problem { throw problem }
        try demand((0...7 * 86_400_000).contains(dedupWindowMilliseconds), "dedup_window is 0 to 7d")
        try demand((0...3650 * 86_400_000).contains(retainMilliseconds), "retain is 0 to 3650d")
        try demand((0...1 << 50).contains(retainBytes), "retain_bytes is 0 to \(1 << 50 as Int)")
        try demand((1...1_000_000).contains(dedupMax), "dedup_max is 1 to 1000000")
        try demand((0...366 * 86_400_000).contains(messageAgeMaxMilliseconds), "message_age_max is 0 to 366d")
        try delivery.validate()
    }
}

private func demand(_ holds: Bool, _ rule: String) throws(BrokerError) {
    if !holds { throw BrokerError(.settingInvalid, rule) }
}

/// Where a new subscription begins among the messages that the topic still holds.
public enum StartPosition: Hashable, Sendable {
    case beginning
    case now
    /// The first message published at or after this time.
    case time(WallTime)
    /// This message, or the next one after it.
    case message(MessageID)
}

/// A number of a status that not every topic or subscription has, by its name in docs/OPERATIONS.md.
public struct Figure: Hashable, Sendable {
    public let name: String
    public let value: Int64
    public init(_ name: String, _ value: Int64) {
        self.name = name
        self.value = value
    }
}

/// A subscription in numbers.
public struct SubscriptionStatus: Hashable, Sendable {
    public var name: SubscriptionName
    /// Nil: it follows its topic.
    public var settings: DeliverySettings?
    public var consumers: UInt32 = 0
    public var ready: UInt64 = 0
    public var delayed: UInt64 = 0
    public var leased: UInt64 = 0
    public var dead: UInt64 = 0
    /// Since the broker started.
    public var delivered: UInt64 = 0
    public var acknowledged: UInt64 = 0
    /// Those that are not zero.
    public var figures: [Figure] = []
    /// Headers that its messages have; empty: it gets every message.
    public var filter: [Header] = []
    public init(name: SubscriptionName) { self.name = name }
}

public struct TopicStatus: Hashable, Sendable {
    public var name: TopicName
    public var settings: TopicSettings
    public var messages: UInt64 = 0
    public var published: UInt64 = 0
    /// Those that are not zero.
    public var figures: [Figure] = []
    public var subscriptions: [SubscriptionStatus] = []
    public init(name: TopicName, settings: TopicSettings) {
        self.name = name
        self.settings = settings
    }
}

/// The broker in numbers.
public struct BrokerStatus: Hashable, Sendable {
    public var version = ""
    public var epoch: UInt32 = 0
    public var uptimeMilliseconds: Int64 = 0
    public var connections: UInt32 = 0
    public var topics: UInt32 = 0
    public var messages: UInt64 = 0
    public var ready: UInt64 = 0
    public var delayed: UInt64 = 0
    public var leased: UInt64 = 0
    public var dead: UInt64 = 0
    public var published: UInt64 = 0
    public var delivered: UInt64 = 0
    public var acknowledged: UInt64 = 0
    public var logSegments: UInt64 = 0
    public var logFreeBytes: UInt64 = 0
    /// Those that are not zero.
    public var figures: [Figure] = []
    public init() {}
}
