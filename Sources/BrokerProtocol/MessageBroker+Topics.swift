/// Topics, subscriptions, consumers and dead letters.
extension MessageBroker {
    /// Asks for a sign of life.
    public func ping() async throws(BrokerError) { try await administer(.ping) }

    /// - Throws: `TOPIC_EXISTS`, `SETTING_INVALID`, `TOPIC_LIMIT`.
    public func createTopic(_ name: TopicName, _ settings: TopicSettings = TopicSettings()) async throws(BrokerError) {
        try await administer(.topicCreate(name, settings))
    }

    /// Replaces all settings of a topic. - Throws: `TOPIC_UNKNOWN`, `SETTING_INVALID`.
    public func setTopic(_ name: TopicName, _ settings: TopicSettings) async throws(BrokerError) {
        try await administer(.topicSet(name, settings))
    }

    /// Deletes a topic with its subscriptions, messages and dead letters. - Throws: `TOPIC_UNKNOWN`.
    public func deleteTopic(_ name: TopicName) async throws(BrokerError) { try await administer(.topicDelete(name)) }

    /// Makes a subscription, and its topic when that is new. One that exists stays as it is.
    /// - Throws: `SUBSCRIPTION_LIMIT`, `TOPIC_LIMIT`.
    public func createSubscription(
        _ name: SubscriptionName, start: StartPosition = .beginning
    ) async throws(BrokerError) {
        try await administer(.subscriptionCreate(name, start))
    }

    /// Replaces the delivery settings of a subscription; nil: it follows its topic again.
    /// - Throws: `SUBSCRIPTION_UNKNOWN`, `SETTING_INVALID`.
    public func setSubscription(_ name: SubscriptionName, _ settings: DeliverySettings?) async throws(BrokerError) {
        try await administer(.subscriptionSet(name, settings))
    }

    /// Deletes a subscription with what it still owed and its dead letters. - Throws: `SUBSCRIPTION_UNKNOWN`.
    public func deleteSubscription(_ name: SubscriptionName) async throws(BrokerError) {
        try await administer(.subscriptionDelete(name))
    }

    /// Sets how many unsettled deliveries a consumer may have; 0 holds it up. - Throws: `CONSUMER_UNKNOWN`.
    public func setCredit(_ credit: UInt32, of consumer: ConsumerID) async throws(BrokerError) {
        try await administer(.credit(consumer: consumer, credit: credit))
    }

    /// Ends a consumer; its leases stay until they are settled or run out. - Throws: `CONSUMER_UNKNOWN`.
    public func unsubscribe(_ consumer: ConsumerID) async throws(BrokerError) {
        try await administer(.unsubscribe(consumer: consumer))
    }

    /// Messages of a topic in publish order, without delivering them.
    /// - Parameters:
    ///   - from: The first id to look at.
    ///   - limit: At most 1,000 come in one answer.
    public func peek(
        _ topic: TopicName, from: MessageID = MessageID(rawValue: 0), limit: UInt32 = 100
    ) async throws(BrokerError) -> [Delivery] {
        switch try await perform(.peek(topic, from: from, limit: limit)) {
        case .messages(let messages): return messages
        case .refused(let error): throw error
        default: throw BrokerError(.responseMalformed, "the response does not belong to the request")
        }
    }
}
