/// A broker as everything above it sees it: in-process, over a socket, or another engine.
///
/// ``perform(_:)`` answers each ``Request`` with the ``Response`` that belongs to it; the methods below give them
/// their Swift shape. An engine that cannot do something throws `UNSUPPORTED` with the reason.
public protocol MessageBroker: Sendable {
    /// - Throws: The refusal of the broker, or `CONNECTION_LOST` when nobody knows whether the request was done.
    func perform(_ request: Request) async throws(BrokerError) -> Response

    /// Subscribes with a weight of 1 to 100 among the consumers of the subscription; the deliveries come through the
    /// stream until its consumer is unsubscribed (the stream then ends after what was delivered before), the connection
    /// is lost (the stream then throws `CONNECTION_LOST`), or the broker drains (the stream ends).
    func deliveries(
        of subscription: SubscriptionName, credit: UInt32, start: StartPosition, leaseMilliseconds: Int64?,
        weight: UInt8
    ) async throws(BrokerError) -> DeliveryStream

    /// Asks to move the deadlines of leases to now + `milliseconds` and does not wait for the answer: for a thread
    /// that keeps leases alive while every task is busy. Callable from any thread, never blocks.
    /// - Parameter lost: Called once, on a thread of the broker, with the leases that could not be extended, maybe
    ///   none; not called when the connection is lost before the answer. Must not block.
    func extendLeases(_ leases: [LeaseID], milliseconds: Int64, lost: @escaping @Sendable ([LeaseID]) -> Void)

    /// Ends the connection; its leases end with it.
    func close() async
}

/// The deliveries of one consumer.
public struct DeliveryStream: AsyncSequence, Sendable {
    public typealias Element = Delivery
    public let consumer: ConsumerID
    private let stream: AsyncThrowingStream<Delivery, any Error>

    public init(consumer: ConsumerID, stream: AsyncThrowingStream<Delivery, any Error>) {
        self.consumer = consumer
        self.stream = stream
    }

    public func makeAsyncIterator() -> AsyncThrowingStream<Delivery, any Error>.Iterator { stream.makeAsyncIterator() }
}

extension MessageBroker {
    /// As ``deliveries(of:credit:start:leaseMilliseconds:weight:)``, with the weight 1.
    public func deliveries(
        of subscription: SubscriptionName, credit: UInt32, start: StartPosition, leaseMilliseconds: Int64?
    ) async throws(BrokerError) -> DeliveryStream {
        try await deliveries(
            of: subscription, credit: credit, start: start, leaseMilliseconds: leaseMilliseconds, weight: 1)
    }

    func refusal(of response: Response) -> BrokerError {
        if case .refused(let error) = response { return error }
        return BrokerError(.responseMalformed, "the response does not belong to the request")
    }

    /// Publishes; on return every accepted message is durable. One result per message, in order.
    public func publish(
        _ messages: [OutgoingMessage]
    ) async throws(BrokerError) -> [Result<PublishReceipt, BrokerError>] {
        let response = try await perform(.publish(messages))
        guard case .published(let results) = response, results.count == messages.count else {
            throw refusal(of: response)
        }
        return results
    }

    /// Publishes one message; on return it is durable.
    @discardableResult
    public func publish(_ message: OutgoingMessage) async throws(BrokerError) -> PublishReceipt {
        try await publish([message])[0].get()
    }

    /// Publishes and settles in one log record: all or nothing.
    /// - Throws: `LEASE_LOST` when one of the leases is lost; nothing is published then, nothing settled.
    @discardableResult
    public func commit(
        publishing publishes: [OutgoingMessage], settling settlements: [Settlement]
    ) async throws(BrokerError) -> [PublishReceipt] {
        let response = try await perform(.commit(publishes: publishes, settlements: settlements))
        guard case .committed(let receipts) = response else { throw refusal(of: response) }
        return receipts
    }

    /// Settles; on return every accepted verdict is durable. One entry per settlement, nil when accepted.
    public func settle(_ settlements: [Settlement]) async throws(BrokerError) -> [BrokerError?] {
        let response = try await perform(.settle(settlements))
        guard case .settled(let results) = response, results.count == settlements.count else {
            throw refusal(of: response)
        }
        return results
    }

    /// Settles one delivery. - Throws: `LEASE_LOST` when the lease ended before.
    public func settle(_ lease: LeaseID, _ verdict: Verdict) async throws(BrokerError) {
        if let error = try await settle([Settlement(lease, verdict)])[0] { throw error }
    }

    /// Moves the deadlines of leases to now + `milliseconds`. One entry per lease, nil when extended.
    public func extend(_ leases: [LeaseID], milliseconds: Int64) async throws(BrokerError) -> [BrokerError?] {
        let response = try await perform(.extend(leases, milliseconds: milliseconds))
        guard case .settled(let results) = response, results.count == leases.count else { throw refusal(of: response) }
        return results
    }

    /// Takes the first message of the first subscription that has one. Nil when the timeout passed.
    public func pop(
        _ subscriptions: [SubscriptionName], timeoutMilliseconds: Int64, acknowledges: Bool = false
    ) async throws(BrokerError) -> Delivery? {
        let response = try await perform(
            .pop(subscriptions, timeoutMilliseconds: timeoutMilliseconds, acknowledges: acknowledges))
        guard case .popped(let delivery) = response else { throw refusal(of: response) }
        return delivery
    }

    /// For requests that answer nothing but success.
    public func administer(_ request: Request) async throws(BrokerError) {
        let response = try await perform(request)
        guard case .done = response else { throw refusal(of: response) }
    }

    public func topics() async throws(BrokerError) -> [TopicStatus] {
        let response = try await perform(.topicList)
        guard case .topics(let topics) = response else { throw refusal(of: response) }
        return topics
    }

    public func status() async throws(BrokerError) -> BrokerStatus {
        let response = try await perform(.status)
        guard case .status(let status) = response else { throw refusal(of: response) }
        return status
    }

    public func deadLetters(
        of subscription: SubscriptionName, from: MessageID = MessageID(rawValue: 0), limit: UInt32 = 100
    ) async throws(BrokerError) -> [DeadLetter] {
        let response = try await perform(.deadList(subscription, from: from, limit: limit))
        guard case .deadLetters(let letters) = response else { throw refusal(of: response) }
        return letters
    }

    /// For requests that answer a count: redrive and purge.
    public func count(_ request: Request) async throws(BrokerError) -> UInt64 {
        let response = try await perform(request)
        guard case .count(let count) = response else { throw refusal(of: response) }
        return count
    }
}
