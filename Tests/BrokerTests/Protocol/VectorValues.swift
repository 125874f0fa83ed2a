import BrokerProtocol

/// What each vector of docs/PROTOCOL.md says, as a value.
struct VectorValues {
    let orders: TopicName
    let email: SubscriptionName
    let audit: SubscriptionName
    private let lease: UInt64 = 7 << 40 | 1
    let newYear = WallTime(milliseconds: 1_767_225_600_000)

    init?() {
        guard let orders = TopicName("order.created") else { return nil }
        self.orders = orders
        email = SubscriptionName(topic: orders, name: "email")
        audit = SubscriptionName(topic: orders, name: "audit")
    }

    func value(of name: String) -> Frame? {
        if let frame = fate(name) { return frame }
        if let (correlation, request) = flow(name) ?? administration(name) ?? timed(name) {
            return .request(correlation, request)
        }
        if let (correlation, response) = answer(name) ?? report(name) ?? timedAnswer(name) {
            return .response(correlation, response)
        }
        switch name {
        case "heartbeat", "heartbeat-of-the-broker": return .heartbeat
        case "deliveries":
            return .push(
                .deliveries([
                    Delivery(
                        consumer: ConsumerID(rawValue: 1), lease: LeaseID(rawValue: lease), leaseMilliseconds: 30_000,
                        id: MessageID(rawValue: 1001), subscription: email, attempt: 2, deliveries: 3,
                        publishedAt: newYear, lastError: "smtp: 451 try later", orderingKey: "order-1001",
                        headers: [Header("content-type", "application/json")],
                        body: Array(#"{"order":1001}"#.utf8))
                ]))
        case "consumer-ended":
            return .push(
                .consumerEnded(
                    ConsumerID(rawValue: 1), BrokerError(.subscriptionUnknown, "the subscription was deleted")))
        case "consumer-ended-drained": return .push(.consumerEnded(ConsumerID(rawValue: 1), nil))
        default: return nil
        }
    }

    private func topic(_ text: String) -> TopicName { TopicName(text) ?? orders }

    private func flow(_ name: String) -> (UInt32, Request)? {
        switch name {
        case "hello": (1, .hello(versions: [1], client: "shop", instance: "shop-1", heartbeatMilliseconds: 10_000))
        case "ping": (2, .ping)
        case "publish": (3, .publish([order, OutgoingMessage(topic: topic("log"), body: [])]))
        case "publish-every-field": (4, .publish([everyField]))
        case "commit":
            (
                5,
                .commit(
                    publishes: [
                        OutgoingMessage(topic: topic("payment.process"), body: Array("{}".utf8), dedupID: "pay-1001")
                    ], settlements: [Settlement(LeaseID(rawValue: lease), .ack)])
            )
        case "subscribe": (6, subscribe(1, email, credit: 50, .beginning, lease: nil))
        case "subscribe-from-a-time": (7, subscribe(2, audit, credit: 1, .time(newYear), lease: 60_000))
        case "subscribe-bare-topic":
            (8, subscribe(3, SubscriptionName(topic: orders), credit: 1, .now, lease: nil, weight: 10))
        case "credit": (9, .credit(consumer: ConsumerID(rawValue: 1), credit: 0))
        case "unsubscribe": (10, .unsubscribe(consumer: ConsumerID(rawValue: 1)))
        case "settle": (11, .settle(settlements))
        case "extend":
            (12, .extend([lease, lease + 1, lease + 9].map { LeaseID(rawValue: $0) }, milliseconds: 30_000))
        case "pop":
            (
                13,
                .pop(
                    [SubscriptionName(topic: topic("urgent")), email], timeoutMilliseconds: 5_000, acknowledges: false)
            )
        case "fetch":
            (
                50,
                .fetch(
                    Fetch(
                        [email], messagesMax: 100, bytesMax: 1 << 20, waitMilliseconds: 5_000,
                        leaseMilliseconds: 60_000))
            )
        default: nil
        }
    }

    private func subscribe(
        _ consumer: UInt32, _ name: SubscriptionName, credit: UInt32, _ start: StartPosition, lease: Int64?,
        weight: UInt8 = 1
    ) -> Request {
        .subscribe(
            consumer: ConsumerID(rawValue: consumer), subscription: name, credit: credit, start: start,
            leaseMilliseconds: lease, weight: weight)
    }

    private var order: OutgoingMessage {
        OutgoingMessage(
            topic: orders, body: Array(#"{"name":"Zoë"}"#.utf8), headers: [Header("content-type", "application/json")],
            dedupID: "order-1001")
    }

    private var everyField: OutgoingMessage {
        OutgoingMessage(
            topic: orders, body: [0x78], headers: [Header("a", "1"), Header("b", "")], priority: 9,
            orderingKey: "customer-7", deliverAt: newYear, expiresAt: newYear.adding(milliseconds: 3_600_000),
            dedupID: "d-1", delayMilliseconds: 60_000)
    }

    private var settlements: [Settlement] {
        let verdicts: [(UInt64, Verdict)] = [
            (0, .ack), (1, .ack), (2, .ack), (3, .fail(error: "smtp: 451 try later", afterMilliseconds: 5_000)),
            (4, .release()), (5, .release()), (9, .reject(reason: "no such customer")),
        ]
        return verdicts.map { Settlement(LeaseID(rawValue: lease + $0.0), $0.1) }
    }

    private func administration(_ name: String) -> (UInt32, Request)? {
        var many = TopicSettings()
        many.messagesMax = 100_000
        var eager = TopicSettings()
        eager.dedupWindowMilliseconds = 0
        eager.delivery.attemptsMax = 3
        eager.delivery.leaseMilliseconds = 5_000
        eager.delivery.leaseTotalMilliseconds = 60_000
        eager.delivery.backoffBaseMilliseconds = 0
        eager.delivery.backoffCapMilliseconds = 1_000
        eager.delivery.poisonDeathsMax = 1
        var patient = DeliverySettings()
        patient.attemptsMax = 20
        let first = MessageID(rawValue: 1001)
        return switch name {
        case "topic-create": (14, .topicCreate(orders, many))
        case "topic-set": (15, .topicSet(orders, eager))
        case "topic-delete": (16, .topicDelete(orders))
        case "topic-list": (17, .topicList)
        case "subscription-create": (18, .subscriptionCreate(audit, .message(first)))
        case "subscription-create-with-a-filter":
            (51, .subscriptionCreate(audit, .beginning, filter: [Header("region", "eu")]))
        case "rewind": (52, .rewind(email, .time(newYear)))
        case "subscription-set": (19, .subscriptionSet(email, patient))
        case "subscription-follows-its-topic": (20, .subscriptionSet(email, nil))
        case "subscription-delete": (21, .subscriptionDelete(audit))
        case "status": (22, .status)
        case "peek": (23, .peek(orders, from: first, limit: 10))
        case "dead-list": (24, .deadList(email, from: MessageID(rawValue: 0), limit: 100))
        case "history": (27, .history(.message(first), limit: 100))
        case "history-of-a-header": (28, .history(.header(Header("order", "4711")), limit: 100))
        case "key-list": (31, .keyList(email, after: "customer-1", limit: 100, parkedOnly: false))
        case "key-release": (32, .keyRelease(email, ["customer-7"]))
        case "key-release-all": (33, .keyRelease(email, []))
        default: nil
        }
    }

    private var fetched: Delivery {
        Delivery(
            consumer: ConsumerID(rawValue: 0), lease: LeaseID(rawValue: lease + 11), leaseMilliseconds: 60_000,
            id: MessageID(rawValue: 1004), subscription: email, attempt: 1, publishedAt: newYear, body: [0x79])
    }

    private func answer(_ name: String) -> (UInt32, Response)? {
        let second = MessageID(rawValue: 1002)
        switch name {
        case "refused": return (14, .refused(BrokerError(.topicExists, "the topic order.created exists")))
        case "refused-with-an-unknown-code": return (15, .refused(BrokerError(.unsupported, "error 777: new")))
        case "hello-answer":
            return (
                1,
                .hello(
                    version: 1, broker: "brokerd 0.1.0", identity: 0x0123_4567_89AB_CDEF, heartbeatMilliseconds: 10_000,
                    limits: ProtocolLimits())
            )
        case "done": return (2, .done)
        case "published":
            return (
                3,
                .published([
                    .success(PublishReceipt(id: MessageID(rawValue: 1001))),
                    .success(PublishReceipt(id: MessageID(rawValue: 1000), isDuplicate: true)),
                    .failure(BrokerError(.topicFull, "log holds 100 unsettled messages")),
                    .success(PublishReceipt(id: second, isUnwanted: true)),
                ])
            )
        case "committed":
            return (5, .committed([PublishReceipt(id: second), PublishReceipt(id: second, isDuplicate: true)]))
        case "settled":
            var results = [BrokerError?](repeating: nil, count: 7)
            results[3] = BrokerError(.leaseLost, "lease ended before")
            return (11, .settled(results))
        case "popped":
            return (
                13,
                .popped(
                    Delivery(
                        consumer: ConsumerID(rawValue: 0), lease: LeaseID(rawValue: lease + 10),
                        leaseMilliseconds: 30_000, id: MessageID(rawValue: 1003),
                        subscription: SubscriptionName(topic: topic("urgent")), attempt: 1, publishedAt: newYear,
                        body: [0x78]))
            )
        case "popped-nothing": return (13, .popped(nil))
        case "fetched": return (50, .fetched([fetched]))
        case "fetched-nothing": return (50, .fetched([]))
        default: return nil
        }
    }

    private func report(_ name: String) -> (UInt32, Response)? {
        switch name {
        case "topics": return (17, .topics([topicStatus]))
        case "status-answer": return (22, .status(status))
        case "messages":
            let message = Delivery(
                consumer: ConsumerID(rawValue: 0), lease: LeaseID(rawValue: 0), leaseMilliseconds: 0,
                id: MessageID(rawValue: 1001), subscription: SubscriptionName(topic: orders), attempt: 0,
                deliveries: 0, publishedAt: newYear, body: Array("{}".utf8))
            return (23, .messages([message]))
        case "dead-letters":
            let letter = DeadLetter(
                id: MessageID(rawValue: 1001), subscription: email, code: .rejected,
                reason: "rejected: no such customer", lastError: nil, lastConsumer: "email-1", attempts: 1,
                deliveries: 2, redrives: 0, attemptTimes: [newYear.adding(milliseconds: 1_000)], publishedAt: newYear,
                deadAt: newYear.adding(milliseconds: 1_000), orderingKey: "order-1001", headers: [Header("k", "v")],
                body: Array("{}".utf8))
            return (24, .deadLetters([letter]))
        case "count": return (25, .count(3))
        case "keys":
            return (
                31,
                .keys([
                    KeyStatus(key: "customer-7", state: .parked, owner: MessageID(rawValue: 1001), held: 3),
                    KeyStatus(key: "customer-8", state: .inFlight, owner: MessageID(rawValue: 1004), held: 0),
                ])
            )
        case "history-answer": return (27, .history(history))
        default: return nil
        }
    }

    private var topicStatus: TopicStatus {
        var subscription = SubscriptionStatus(name: email)
        subscription.consumers = 2
        subscription.ready = 7
        subscription.delayed = 2
        subscription.leased = 3
        subscription.dead = 1
        subscription.delivered = 5_100
        subscription.acknowledged = 4_987
        var topic = TopicStatus(name: orders, settings: TopicSettings())
        topic.messages = 12
        topic.published = 5_000
        topic.figures = [Figure("dropped", 3)]
        topic.subscriptions = [subscription]
        return topic
    }

    private var history: MessageHistory {
        func event(_ kind: HistoryEvent.Kind, _ at: WallTime?, _ subscription: String?, _ detail: String)
            -> HistoryEvent
        {
            HistoryEvent(
                message: MessageID(rawValue: 1001), kind: kind, at: at, topic: orders, subscription: subscription,
                detail: detail)
        }
        return MessageHistory(events: [
            event(.published, newYear, nil, "12 bytes"),
            event(.delivered, newYear.adding(milliseconds: 1_000), "email", "to email-1"),
            event(.acknowledged, nil, "email", ""),
        ])
    }

    private var status: BrokerStatus {
        var status = BrokerStatus()
        status.version = "0.1.0"
        status.epoch = 7
        status.uptimeMilliseconds = 60_000
        status.connections = 4
        status.topics = 1
        status.messages = 12
        status.ready = 7
        status.delayed = 2
        status.leased = 3
        status.dead = 1
        status.published = 5_000
        status.delivered = 5_100
        status.acknowledged = 4_987
        status.logSegments = 3
        status.logFreeBytes = 1 << 30
        return status
    }
}
