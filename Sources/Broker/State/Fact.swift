import BrokerProtocol

/// The log's small name of a topic or a subscription; never reused in a data directory.
struct TopicID: Hashable, Comparable, Sendable {
    let rawValue: UInt32
    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

struct SubscriptionID: Hashable, Comparable, Sendable {
    let rawValue: UInt32
    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Where a fact stands: the log position of its record and the byte offset in the record's payload.
struct RecordAddress: Hashable, Sendable {
    let position: UInt64
    let offset: Int
}

/// What the log remembers of one message. The body stays on disk.
struct PublishedMessage: Hashable, Sendable {
    let id: MessageID
    let topic: TopicID
    let publishedAt: WallTime
    let priority: UInt8
    let orderingKey: String?
    let deliverAt: WallTime?
    let expiresAt: WallTime?
    let dedupID: String?
    var headers: [Header]
    var body: [UInt8]
}

/// What a subscription remembers of one of its messages, as it is restated when the message moves forward in the log.
struct SlotRecord: Hashable, Sendable {
    let subscription: SubscriptionID
    let attempts: UInt32
    let deliveries: UInt32
    let deaths: UInt16
    let redrives: UInt16
    let lastError: String?
    let lastConsumer: String?
    /// When its attempts failed: the last ones, the oldest first.
    let failedAt: [WallTime]
    let readyAt: WallTime?
    /// Nil: it is not dead.
    let grave: Grave?
}

struct DedupEntry: Hashable, Sendable {
    let dedupID: String
    let message: MessageID
    let until: WallTime
}

/// How a subscription came to be.
enum SubscriptionOrigin: UInt8, Hashable, Sendable {
    /// Made with its topic, as `default`. The first named subscription takes it over.
    case implicit = 0
    /// Somebody named it.
    case asked = 1
}

/// One thing that happened. The state changes by facts alone, live and at recovery alike.
enum Fact: Hashable, Sendable {
    case topicDefined(TopicID, TopicName, TopicSettings)
    case topicDeleted(TopicID)
    /// For an id that exists: its name and origin change; a new name also drops what lies before `start`.
    case subscriptionDefined(SubscriptionID, TopicID, name: String, start: StartPosition, SubscriptionOrigin)
    /// Nil: the subscription follows its topic.
    case subscriptionSet(SubscriptionID, DeliverySettings?)
    case subscriptionDeleted(SubscriptionID)
    case published(PublishedMessage)
    case acknowledged(SubscriptionID, [MessageID])
    /// Handed to a consumer. Logged with the next batch; nobody waits for it.
    case attempted(SubscriptionID, [MessageID])
    /// Back to waiting.
    case returned(SubscriptionID, MessageID, Return)
    case died(SubscriptionID, MessageID, Death)
    case redriven(SubscriptionID, [MessageID])
    case purged(SubscriptionID, [MessageID])
    /// A live message written again further on, so that the segment of its first record can be recycled.
    case restated(PublishedMessage, [SlotRecord])
    /// A dead letter parks its ordering key; stands before the fact of its death.
    case keyParked(SubscriptionID, key: String, MessageID)
    case keyReleased(SubscriptionID, [String])
    case deduplicated(TopicID, [DedupEntry])
    /// A subscription of all topics that match; its id is counted with those of the subscriptions. What is said of a
    /// subscription by its id is said of a pattern as well: settings, pauses, the end.
    case patternDefined(SubscriptionID, SubscriptionName)
    /// As `subscriptionDefined`, with the name of the pattern.
    case memberDefined(SubscriptionID, TopicID, of: SubscriptionID, start: StartPosition)
    /// Stands right behind the definition.
    case subscriptionFiltered(SubscriptionID, MessageFilter)
    /// The subscription owes these from now on, older ones that it had no part in. `rest`: what it looks at next.
    case assigned(SubscriptionID, [MessageID], rest: Reading?)
    /// Acknowledged messages up to this one are kept no more.
    case forgotten(TopicID, through: MessageID)
    /// The next ids are at least these; stands before the records that named them are recycled.
    case counted(nextMessage: MessageID, nextTopic: TopicID, nextSubscription: SubscriptionID)
    /// For a job that exists: how far it is.
    case jobStarted(JobRecord)
    case jobMoved(UInt64, next: MessageID, moved: UInt64)
    case jobEnded(UInt64)
    /// Taken back: over for every subscription that has not given up on it.
    case cancelled([MessageID])
    case rescheduled(MessageID, deliverAt: WallTime)
    /// Set, or replaced, or restated with its progress.
    case scheduleDefined(Schedule, ScheduleProgress)
    case scheduleDeleted(ScheduleName)
    /// The tick is over; in one record with its publish, or with the reason why that was refused.
    case scheduleFired(ScheduleName, WallTime, refusal: String?)
    /// Nil: resumed.
    case paused(PausePlace, PauseScope, Pause?)
    /// What follows happened then. Logged while history is kept.
    case clocked(WallTime)
    /// The same as `attempted`, with the consumer's name. Logged while history is kept.
    case handed(SubscriptionID, [MessageID], consumer: String)
}
