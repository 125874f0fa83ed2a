import BrokerProtocol

/// A message as it is described to a client before its body is read from the log.
struct Notice: Hashable, Sendable {
    var consumer = ConsumerID(rawValue: 0)
    var lease = LeaseID(rawValue: 0)
    var leaseMilliseconds: Int64 = 0
    let id: MessageID
    let subscription: SubscriptionName
    var attempt: UInt32 = 0
    var deliveries: UInt32 = 0
    var redrives: UInt32 = 0
    var lastError: String?
    /// These three for dead letters.
    var lastConsumer: String?
    var failedAt: [WallTime] = []
    var grave: Grave?
    var deathReason: String? { grave?.text }
    let address: RecordAddress
    /// Of the message's record, roughly; 0 when nobody asks.
    var bytes: UInt32 = 0
}

/// What the state wants done outside.
enum Effect: Hashable, Sendable {
    case respond(Origin, Response)
    case deliver(SessionID, Notice)
    case answerPop(Origin, Notice)
    case answerFetch(Origin, [Notice])
    case answerPeek(Origin, [Notice])
    case answerDead(Origin, [Notice])
    case answerBrowse(Origin, BrowseNotices)
    case deadAlarm(DeadAlarm)
    /// The next reply of a Redis connection.
    case answerRedis(SessionID, RedisReply)
    /// A Redis connection that waits ends without a reply, so that its client connects again.
    case hangUp(SessionID)
    /// The log is searched, and the answer sent at the end.
    case searchHistory(Origin, HistoryQuery, limit: UInt32)
    /// Without an error: the broker drains.
    case endConsumer(SessionID, ConsumerID, BrokerError?)
    /// Nothing before this segment is needed any more.
    case recycle(before: UInt64)
}

/// An effect, kept plain because there are so many: a publish of one message was accepted.
struct Confirmation: Hashable, Sendable {
    /// The log must be durable up to here first.
    let requires: UInt64
    let origin: Origin
    let message: MessageID
}

struct PendingEffect: Sendable {
    /// The log must be durable up to here first.
    let requires: UInt64
    let effect: Effect
}
