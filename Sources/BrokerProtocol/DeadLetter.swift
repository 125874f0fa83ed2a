/// A message that a subscription gave up on.
public struct DeadLetter: Hashable, Sendable {
    public let id: MessageID
    public let subscription: SubscriptionName
    /// Nil: a reason that this version does not know.
    public let code: DeadReason?
    /// `rejected`, `attempts`, `poison`, `expired`, …, with the consumer's own words after a colon.
    public let reason: String
    public let lastError: String?
    /// The consumer whose attempt failed last; nil when none did.
    public let lastConsumer: String?
    /// Since its publish or its last redrive.
    public let attempts: UInt32
    /// How often it was handed out since then, released ones included.
    public let deliveries: UInt32
    public let redrives: UInt32
    /// When its attempts failed: the last 16 of them, the oldest first, those before a redrive included.
    public let attemptTimes: [WallTime]
    public let publishedAt: WallTime
    public let deadAt: WallTime
    public let priority: UInt8
    public let orderingKey: String?
    public let headers: [Header]
    public let body: [UInt8]

    /// How many attempt times are kept.
    public static let attemptTimesMax = 16

    public init(
        id: MessageID, subscription: SubscriptionName, code: DeadReason?, reason: String, lastError: String?,
        lastConsumer: String? = nil, attempts: UInt32, deliveries: UInt32 = 0, redrives: UInt32,
        attemptTimes: [WallTime] = [], publishedAt: WallTime, deadAt: WallTime, priority: UInt8 = 4,
        orderingKey: String? = nil, headers: [Header], body: [UInt8]
    ) {
        self.id = id
        self.subscription = subscription
        self.code = code
        self.reason = reason
        self.lastError = lastError
        self.lastConsumer = lastConsumer
        self.attempts = attempts
        self.deliveries = deliveries
        self.redrives = redrives
        self.attemptTimes = attemptTimes
        self.publishedAt = publishedAt
        self.deadAt = deadAt
        self.priority = priority
        self.orderingKey = orderingKey
        self.headers = headers
        self.body = body
    }
}
