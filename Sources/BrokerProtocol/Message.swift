/// A short key and value that travels with a message.
public struct Header: Hashable, Sendable {
    public let key: String
    public let value: String
    public init(_ key: String, _ value: String) {
        self.key = key
        self.value = value
    }
}

/// A message on its way in.
public struct OutgoingMessage: Hashable, Sendable {
    public var topic: TopicName
    public var body: [UInt8]
    public var headers: [Header]
    /// 0 (last) to 9 (first); 4 is the default.
    public var priority: UInt8
    /// Messages of one key are delivered one at a time, in order.
    public var orderingKey: String?
    /// Not delivered before this time.
    public var deliverAt: WallTime?
    /// Not delivered before so long after the publish; with `deliverAt`, the later of both counts.
    public var delayMilliseconds: Int64?
    /// Dead-lettered with the reason `expired` when it is not delivered before this time.
    public var expiresAt: WallTime?
    /// A second publish with the same id inside the topic's window answers the first one's message id.
    public var dedupID: String?

    public init(
        topic: TopicName, body: [UInt8], headers: [Header] = [], priority: UInt8 = 4, orderingKey: String? = nil,
        deliverAt: WallTime? = nil, expiresAt: WallTime? = nil, dedupID: String? = nil,
        delayMilliseconds: Int64? = nil
    ) {
        self.topic = topic
        self.body = body
        self.headers = headers
        self.priority = priority
        self.orderingKey = orderingKey
        self.deliverAt = deliverAt
        self.expiresAt = expiresAt
        self.dedupID = dedupID
        self.delayMilliseconds = delayMilliseconds
    }
}

/// What became of one published message.
public struct PublishReceipt: Hashable, Sendable {
    public let id: MessageID
    /// True when the dedup id was known: `id` is the first message's.
    public let isDuplicate: Bool
    /// True when the filter of every subscription refused the message: it was dropped.
    public let isUnwanted: Bool
    public init(id: MessageID, isDuplicate: Bool = false, isUnwanted: Bool = false) {
        self.id = id
        self.isDuplicate = isDuplicate
        self.isUnwanted = isUnwanted
    }
}

/// A message handed to one consumer under a lease.
public struct Delivery: Hashable, Sendable {
    public let consumer: ConsumerID
    public let lease: LeaseID
    public let leaseMilliseconds: Int64
    public let id: MessageID
    public let subscription: SubscriptionName
    /// 1 for the first delivery. Deliveries that were released do not count.
    public let attempt: UInt32
    /// How often the message was handed out, this time and released ones included; begins again with a redrive.
    public let deliveries: UInt32
    /// When it was first published.
    public let publishedAt: WallTime
    /// How often the message came back from the dead letters.
    public let redrives: UInt32
    public let lastError: String?
    public let priority: UInt8
    public let orderingKey: String?
    public let headers: [Header]
    public let body: [UInt8]

    public init(
        consumer: ConsumerID, lease: LeaseID, leaseMilliseconds: Int64, id: MessageID, subscription: SubscriptionName,
        attempt: UInt32, deliveries: UInt32 = 1, publishedAt: WallTime, redrives: UInt32 = 0, lastError: String? = nil,
        priority: UInt8 = 4, orderingKey: String? = nil, headers: [Header] = [], body: [UInt8]
    ) {
        self.consumer = consumer
        self.lease = lease
        self.leaseMilliseconds = leaseMilliseconds
        self.id = id
        self.subscription = subscription
        self.attempt = attempt
        self.deliveries = deliveries
        self.publishedAt = publishedAt
        self.redrives = redrives
        self.lastError = lastError
        self.priority = priority
        self.orderingKey = orderingKey
        self.headers = headers
        self.body = body
    }
}

/// How a consumer ends its lease; exactly one of these per delivery.
public enum Verdict: Hashable, Sendable {
    case ack
    /// Counts an attempt and backs off; `afterMilliseconds` wins over the retry policy.
    case fail(error: String, afterMilliseconds: Int64? = nil)
    /// Counts nothing: for shutdown and snooze.
    case release(afterMilliseconds: Int64? = nil)
    /// Dead-letters now.
    case reject(reason: String)
}

public struct Settlement: Hashable, Sendable {
    public let lease: LeaseID
    public let verdict: Verdict
    public init(_ lease: LeaseID, _ verdict: Verdict) {
        self.lease = lease
        self.verdict = verdict
    }
}
