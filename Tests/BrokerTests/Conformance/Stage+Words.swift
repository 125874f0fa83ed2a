import BrokerProtocol
import Testing

/// What scenarios say again and again.
extension Stage {
    func message(
        _ body: String, to topic: String = "t", _ change: (inout OutgoingMessage) -> Void = { _ in }
    ) -> OutgoingMessage {
        var message = OutgoingMessage(topic: TopicName(topic)!, body: Array(body.utf8))
        change(&message)
        return message
    }

    /// Publishes each body as a message, in one request.
    @discardableResult
    func publish(
        _ bodies: String..., to topic: String = "t", _ change: (inout OutgoingMessage) -> Void = { _ in }
    ) async throws -> [MessageID] {
        try await broker.publish(bodies.map { message($0, to: topic, change) }).map { try $0.get().id }
    }

    /// Makes a topic with settings of its own.
    func make(_ topic: String = "t", _ change: (inout TopicSettings) -> Void) async throws {
        var settings = TopicSettings()
        change(&settings)
        try await broker.administer(.topicCreate(TopicName(topic)!, settings))
    }

    func subscribe(_ subscription: String, from start: StartPosition = .beginning) async throws {
        try await broker.administer(.subscriptionCreate(name(subscription), start))
    }

    func name(_ text: String) -> SubscriptionName { SubscriptionName(text)! }

    /// The first ready message under a lease; nil when there is none.
    func take(_ subscriptions: String...) async throws -> Delivery? {
        let names = subscriptions.isEmpty ? ["t"] : subscriptions
        return try await broker.pop(names.map(name), timeoutMilliseconds: 0)
    }

    /// The same, which must be there.
    func taken(_ subscription: String = "t") async throws -> Delivery {
        try #require(try await take(subscription), "something is ready for \(subscription)")
    }

    func settle(_ delivery: Delivery, _ verdict: Verdict) async throws {
        try await broker.settle(delivery.lease, verdict)
    }

    /// Takes and acknowledges everything that is ready. - Returns: The bodies, in the order of their deliveries.
    func rest(_ subscription: String = "t") async throws -> [String] {
        var bodies: [String] = []
        while let delivery = try await broker.pop(
            [name(subscription)], timeoutMilliseconds: 0, acknowledges: true)
        {
            bodies.append(delivery.text)
        }
        return bodies
    }

    /// A consumer on the stage's connection, or another one.
    func consume(
        _ subscription: String = "t", credit: UInt32 = 10, weight: UInt8 = 1, lease: Int64? = nil,
        by user: (any MessageBroker)? = nil
    ) async throws -> AsyncThrowingStream<Delivery, any Error>.Iterator {
        try await (user ?? broker).deliveries(
            of: name(subscription), credit: credit, start: .beginning, leaseMilliseconds: lease, weight: weight
        ).makeAsyncIterator()
    }

    func dead(_ subscription: String = "t") async throws -> [DeadLetter] {
        try await broker.deadLetters(of: name(subscription))
    }

    func numbers(_ subscription: String = "t") async throws -> SubscriptionStatus {
        let name = name(subscription)
        let all = try await broker.topics().flatMap(\.subscriptions)
        return try #require(all.first { $0.name == name }, "there is \(subscription)")
    }

    func topic(_ name: String = "t") async throws -> TopicStatus {
        try #require(try await broker.topics().first { $0.name.text == name }, "there is \(name)")
    }

    /// The refusal of what must be refused.
    func refusal(_ body: () async throws -> Void) async throws -> BrokerError {
        do {
            try await body()
        } catch let error as BrokerError {
            return error
        }
        throw NotRefused()
    }

    struct NotRefused: Error, CustomStringConvertible { let description = "what had to be refused was not" }
}

extension Delivery {
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension DeadLetter {
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension Result where Failure == BrokerError {
    /// The code of a refusal; nil when there is none.
    var code: BrokerError.Code? { if case .failure(let error) = self { error.code } else { nil } }
}

extension [Figure] {
    subscript(name: String) -> Int64 { first { $0.name == name }?.value ?? 0 }
}

extension AsyncThrowingStream<Delivery, any Error>.Iterator {
    /// So many deliveries.
    mutating func next(_ count: Int) async throws -> [Delivery] {
        var deliveries: [Delivery] = []
        while deliveries.count < count, let delivery = try await next() { deliveries.append(delivery) }
        return deliveries
    }
}
