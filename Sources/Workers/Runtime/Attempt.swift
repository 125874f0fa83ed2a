public import BrokerProtocol

/// What is known about one delivery of an event.
public struct Attempt: Hashable, Sendable {
    public let id: MessageID
    public let subscription: SubscriptionName
    /// 1 for the first attempt. Deliveries that were given back (snoozed, released, with a paused queue) do not count.
    public let number: UInt32
    /// How often the event was handed out, this time and the given back ones included; begins again with a redrive.
    public let deliveries: UInt32
    /// How often the event came back from the dead letters.
    public let redrives: UInt32
    /// When the event was first published; a retry and a redrive do not change it.
    public let publishedAt: WallTime
    /// Why the attempt before failed.
    public let lastError: String?
    /// 0 (last) to 9 (first).
    public let priority: UInt8
    /// Of the events with this key, this is the only one in work.
    public let orderingKey: String?
    public let headers: [Header]
    /// How long the handler may run, from its start; then its task is cancelled.
    public let timeout: Duration

    public init(
        id: MessageID, subscription: SubscriptionName, number: UInt32 = 1, deliveries: UInt32 = 1, redrives: UInt32 = 0,
        publishedAt: WallTime = WallTime(milliseconds: 0), lastError: String? = nil, priority: UInt8 = 4,
        orderingKey: String? = nil, headers: [Header] = [], timeout: Duration = .seconds(30)
    ) {
        self.id = id
        self.subscription = subscription
        self.number = number
        self.deliveries = deliveries
        self.redrives = redrives
        self.publishedAt = publishedAt
        self.lastError = lastError
        self.priority = priority
        self.orderingKey = orderingKey
        self.headers = headers
        self.timeout = timeout
    }

    init(_ delivery: Delivery, timeout: Duration) {
        self.init(
            id: delivery.id, subscription: delivery.subscription, number: delivery.attempt,
            deliveries: delivery.deliveries, redrives: delivery.redrives, publishedAt: delivery.publishedAt,
            lastError: delivery.lastError, priority: delivery.priority, orderingKey: delivery.orderingKey,
            headers: delivery.headers, timeout: timeout)
    }

    /// `<topic>-<message id>`: the same in every attempt at the event and after every redrive, and no other event's
    /// in the life of the broker's data directory. For idempotency keys and inbox rows.
    public var stableID: String { "\(subscription.topic)-\(id)" }

    public func header(_ key: String) -> String? { headers.first { $0.key == key }?.value }
}
