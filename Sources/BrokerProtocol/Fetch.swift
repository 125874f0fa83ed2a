/// Asks for several messages of one subscription at once, without subscribing.
public struct Fetch: Hashable, Sendable {
    /// 1 to 100; the first one that has a message gives all of them.
    public var subscriptions: [SubscriptionName]
    /// 1 to 10,000.
    public var messagesMax: UInt32
    /// Of bodies and headers in sum, but one message comes however large it is; 0 means as many as one frame takes.
    public var bytesMax: UInt32
    /// How long to wait for the first message: 0 not at all, -1 for ever.
    public var waitMilliseconds: Int64
    /// Nil: as the subscription says; else 100 ms to 12 h.
    public var leaseMilliseconds: Int64?
    /// The messages are settled before they are handed over: a consumer that dies loses them.
    public var acknowledges: Bool

    public init(
        _ subscriptions: [SubscriptionName], messagesMax: UInt32 = 100, bytesMax: UInt32 = 0,
        waitMilliseconds: Int64 = 0, leaseMilliseconds: Int64? = nil, acknowledges: Bool = false
    ) {
        self.subscriptions = subscriptions
        self.messagesMax = messagesMax
        self.bytesMax = bytesMax
        self.waitMilliseconds = waitMilliseconds
        self.leaseMilliseconds = leaseMilliseconds
        self.acknowledges = acknowledges
    }
}

extension ByteWriter {
    mutating func fetch(_ fetch: Fetch) {
        u32(UInt32(fetch.subscriptions.count))
        for name in fetch.subscriptions { subscription(name) }
        u32(fetch.messagesMax)
        u32(fetch.bytesMax)
        i64(fetch.waitMilliseconds)
        i64(fetch.leaseMilliseconds ?? -1)
        u8(fetch.acknowledges ? 1 : 0)
    }

    mutating func deliveries(_ deliveries: [Delivery]) {
        u32(UInt32(deliveries.count))
        for delivery in deliveries { self.delivery(delivery) }
    }
}

extension ByteReader {
    mutating func fetch() throws(Malformed) -> Fetch {
        var subscriptions: [SubscriptionName] = []
        for _ in 0..<(try count("subscriptions", itemBytes: 3)) { subscriptions.append(try subscription()) }
        let messagesMax = try u32("messages")
        let bytesMax = try u32("bytes")
        let wait = try i64("wait")
        let lease = try i64("lease")
        return Fetch(
            subscriptions, messagesMax: messagesMax, bytesMax: bytesMax, waitMilliseconds: wait,
            leaseMilliseconds: lease == -1 ? nil : lease, acknowledges: try flag("acknowledges"))
    }

    mutating func deliveries() throws(Malformed) -> [Delivery] {
        var deliveries: [Delivery] = []
        for _ in 0..<(try count("deliveries", itemBytes: 56)) { deliveries.append(try delivery()) }
        return deliveries
    }
}

extension MessageBroker {
    /// Takes up to so many messages of the first subscription that has one; empty when the wait is over.
    public func fetch(_ fetch: Fetch) async throws(BrokerError) -> [Delivery] {
        switch try await perform(.fetch(fetch)) {
        case .fetched(let deliveries): return deliveries
        case .refused(let error): throw error
        default: throw BrokerError(.responseMalformed, "the response does not belong to the request")
        }
    }
}
