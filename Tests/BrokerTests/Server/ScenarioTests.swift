import Broker
import BrokerProtocol
import Testing

/// The rules of docs/SEMANTICS.md as a user meets them, by each way to a real broker.
@Suite("Scenarios over MessageBroker")
struct ScenarioTests {
    private let topic = TopicName("order.created")!
    private func name(_ text: String) -> SubscriptionName { SubscriptionName(text)! }
    private func message(_ text: String, dedupID: String? = nil) -> OutgoingMessage {
        OutgoingMessage(topic: topic, body: Array(text.utf8), dedupID: dedupID)
    }
    private func code(_ result: Result<PublishReceipt, BrokerError>) -> BrokerError.Code? {
        if case .failure(let error) = result { error.code } else { nil }
    }
    private func text(_ delivery: Delivery?) -> String? { delivery.map { String(decoding: $0.body, as: UTF8.self) } }

    @Test("Each subscription gets each message once", arguments: BrokerHouse.Way.allCases)
    func fanOut(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        let broker = try await house.connect(way)
        for subscription in ["email", "payment"] {
            try await broker.administer(.subscriptionCreate(name("order.created@\(subscription)"), .beginning))
        }
        let sent = try await broker.publish((1...20).map { message("\($0)") }).map { try $0.get().id }
        for subscription in ["email", "payment"] {
            let stream = try await broker.deliveries(
                of: name("order.created@\(subscription)"), credit: 20, start: .beginning, leaseMilliseconds: nil)
            var got: [MessageID] = []
            for try await delivery in stream {
                got.append(delivery.id)
                #expect(text(delivery) == "\(got.count)")
                try await broker.settle(delivery.lease, .ack)
                if got.count == 20 { break }
            }
            #expect(got == sent)
        }
        #expect(try await broker.status().messages == 0)
    }

    @Test("A confirmed publish and a confirmed ack outlive a restart", arguments: BrokerHouse.Way.allCases)
    func restart(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        var broker = try await house.connect(way)
        for number in 1...3 { try await broker.publish(message("\(number)")) }
        let first = try #require(try await broker.pop([name("order.created")], timeoutMilliseconds: 0))
        try await broker.settle(first.lease, .ack)
        try await house.restart()
        broker = try await house.connect(way)
        let second = try await broker.pop([name("order.created")], timeoutMilliseconds: 0)
        #expect(text(second) == "2")
        let third = try await broker.pop([name("order.created")], timeoutMilliseconds: 0)
        #expect(text(third) == "3")
        #expect(try await broker.pop([name("order.created")], timeoutMilliseconds: 0) == nil)
    }

    @Test("A pop waits for the message that comes, and ends with its timeout", arguments: BrokerHouse.Way.allCases)
    func pop(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        let broker = try await house.connect(way)
        #expect(try await broker.pop([name("a"), name("b")], timeoutMilliseconds: 10) == nil)
        async let popped = broker.pop(
            [name("a"), name("order.created")], timeoutMilliseconds: -1, acknowledges: true)
        let other = try await house.connect(way)
        try await other.publish(message("cappuccino"))
        #expect(text(try await popped) == "cappuccino")
        #expect(try await broker.status().messages == 0)
    }

    @Test("A lease that ended settles nothing, and hurts nobody else", arguments: BrokerHouse.Way.allCases)
    func fencing(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        let broker = try await house.connect(way)
        _ = try await broker.publish([message("1"), message("2")])
        let one = try #require(try await broker.pop([name("order.created")], timeoutMilliseconds: 0))
        let two = try #require(try await broker.pop([name("order.created")], timeoutMilliseconds: 0))
        try await broker.settle(one.lease, .ack)
        let results = try await broker.settle([
            Settlement(one.lease, .ack), Settlement(two.lease, .ack), Settlement(LeaseID(rawValue: 1), .ack),
        ])
        #expect(results.map { $0?.code } == [.leaseLost, nil, .leaseLost])
        let foreign = try await house.connect(way)
        try await broker.publish(message("3"))
        let three = try #require(try await broker.pop([name("order.created")], timeoutMilliseconds: 0))
        await #expect(throws: BrokerError.self) { try await foreign.settle(three.lease, .ack) }
        try await broker.settle(three.lease, .ack)
    }

    @Test("The leases of a lost connection come back to the others", arguments: BrokerHouse.Way.allCases)
    func lostConnection(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse { $0.defaults.delivery.backoffBaseMilliseconds = 0 }
        let doomed = try await house.connect(way, instance: "email-1")
        try await doomed.publish(message("1"))
        #expect(try await doomed.pop([name("order.created")], timeoutMilliseconds: 0)?.attempt == 1)
        await doomed.close()
        let other = try await house.connect(way, instance: "email-2")
        let again = try #require(try await other.pop([name("order.created")], timeoutMilliseconds: -1))
        #expect(again.attempt == 2)
        #expect(again.lastError == "the connection of email-1 was lost")
    }

    @Test("A commit publishes and settles, or does nothing at all", arguments: BrokerHouse.Way.allCases)
    func commit(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        let broker = try await house.connect(way)
        try await broker.publish(message("order"))
        let delivery = try #require(try await broker.pop([name("order.created")], timeoutMilliseconds: 0))
        let payment = OutgoingMessage(topic: TopicName("payment.process")!, body: [1])
        let stale = Settlement(LeaseID(rawValue: 7), .ack)
        await #expect(throws: BrokerError.self) {
            try await broker.commit(publishing: [payment], settling: [Settlement(delivery.lease, .ack), stale])
        }
        #expect(try await broker.pop([name("payment.process")], timeoutMilliseconds: 0) == nil)
        let receipts = try await broker.commit(
            publishing: [payment, payment], settling: [Settlement(delivery.lease, .ack)])
        #expect(receipts.count == 2)
        #expect(try await broker.status().messages == 2)
        await #expect(throws: BrokerError.self) { try await broker.settle(delivery.lease, .ack) }
    }

    @Test(
        "What is rejected lies in the dead letters until it is redriven or purged", arguments: BrokerHouse.Way.allCases)
    func deadLetters(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        var broker = try await house.connect(way)
        try await broker.administer(.subscriptionCreate(name("order.created@email"), .beginning))
        _ = try await broker.publish([message("1"), message("2")])
        for _ in 1...2 {
            let delivery = try #require(try await broker.pop([name("order.created@email")], timeoutMilliseconds: 0))
            try await broker.settle(delivery.lease, .reject(reason: "no address"))
        }
        try await house.restart()
        broker = try await house.connect(way)
        let dead = try await broker.deadLetters(of: name("order.created@email"))
        #expect(dead.map(\.reason) == ["rejected: no address", "rejected: no address"])
        #expect(dead.map { String(decoding: $0.body, as: UTF8.self) } == ["1", "2"])
        #expect(try await broker.count(.deadRedrive(name("order.created@email"), [dead[0].id])) == 1)
        let again = try #require(try await broker.pop([name("order.created@email")], timeoutMilliseconds: 0))
        #expect(again.id == dead[0].id && again.attempt == 1 && again.redrives == 1)
        #expect(try await broker.count(.deadPurge(name("order.created@email"), [])) == 1)
        #expect(try await broker.deadLetters(of: name("order.created@email")).isEmpty)
        let refusal = await #expect(throws: BrokerError.self) {
            try await broker.count(.deadPurge(name("order.created@email"), [dead[1].id]))
        }
        #expect(refusal?.code == .messageUnknown)
    }

    @Test("The same dedup id answers the first id, also after a restart", arguments: BrokerHouse.Way.allCases)
    func dedup(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        var broker = try await house.connect(way)
        let first = try await broker.publish(message("1", dedupID: "order-1"))
        #expect(!first.isDuplicate)
        #expect(try await broker.publish(message("1", dedupID: "order-1")).isDuplicate)
        try await house.restart()
        broker = try await house.connect(way)
        let again = try await broker.publish(message("1", dedupID: "order-1"))
        #expect(again == PublishReceipt(id: first.id, isDuplicate: true))
        #expect(try await broker.status().messages == 1)
    }

    @Test("Credit bounds what a consumer holds", arguments: BrokerHouse.Way.allCases)
    func credit(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        let broker = try await house.connect(way)
        _ = try await broker.publish((1...10).map { message("\($0)") })
        let stream = try await broker.deliveries(
            of: name("order.created"), credit: 3, start: .beginning, leaseMilliseconds: nil)
        var iterator = stream.makeAsyncIterator()
        var held: [Delivery] = []
        for _ in 1...3 { held.append(try #require(try await iterator.next())) }
        #expect(try await broker.status().leased == 3)
        try await broker.settle(held[0].lease, .release(afterMilliseconds: 3_600_000))
        #expect(text(try await iterator.next()) == "4")
        #expect(try await broker.status().leased == 3)
        #expect(try await broker.status().delayed == 1)
    }

    @Test("Settings are kept, checked, and shown", arguments: BrokerHouse.Way.allCases)
    func settings(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        var broker = try await house.connect(way)
        var settings = TopicSettings()
        settings.messagesMax = 2
        try await broker.administer(.topicCreate(topic, settings))
        var own = DeliverySettings()
        own.attemptsMax = 1
        try await broker.administer(.subscriptionCreate(name("order.created@email"), .beginning))
        try await broker.administer(.subscriptionSet(name("order.created@email"), own))
        let results = try await broker.publish((1...3).map { message("\($0)") })
        #expect(results.map(code) == [nil, nil, .topicFull])
        try await house.restart()
        broker = try await house.connect(way)
        let status = try #require(try await broker.topics().first)
        #expect(status.settings == settings && status.subscriptions.map(\.settings) == [own])
        let delivery = try #require(try await broker.pop([name("order.created@email")], timeoutMilliseconds: 0))
        try await broker.settle(delivery.lease, .fail(error: "smtp 451"))
        let dead = try await broker.deadLetters(of: name("order.created@email"))
        #expect(dead.map(\.reason) == ["attempts"] && dead.map(\.lastError) == ["smtp 451"])
        settings.delivery.attemptsMax = 0
        let refusal = await #expect(throws: BrokerError.self) {
            try await broker.administer(.topicSet(topic, settings))
        }
        #expect(refusal?.message == "attempts_max is 1 to 1000")
    }

    @Test("Unknown names are refused by name", arguments: BrokerHouse.Way.allCases)
    func unknown(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        let broker = try await house.connect(way)
        let topicRefusal = await #expect(throws: BrokerError.self) {
            _ = try await broker.deadLetters(of: name("nowhere@email"))
        }
        #expect(topicRefusal == BrokerError(.topicUnknown, "there is no topic nowhere"))
        try await broker.publish(message("1"))
        let refusal = await #expect(throws: BrokerError.self) {
            _ = try await broker.deadLetters(of: name("order.created@nobody"))
        }
        #expect(refusal == BrokerError(.subscriptionUnknown, "there is no subscription order.created@nobody"))
    }

    @Test("Peeking changes nothing", arguments: BrokerHouse.Way.allCases)
    func peek(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        let broker = try await house.connect(way)
        _ = try await broker.publish((1...5).map { message("\($0)") })
        let response = try await broker.perform(.peek(topic, from: MessageID(rawValue: 2), limit: 2))
        guard case .messages(let messages) = response else {
            Issue.record("\(response)")
            return
        }
        #expect(messages.map { String(decoding: $0.body, as: UTF8.self) } == ["2", "3"])
        #expect(try await broker.status().ready == 5)
        #expect(try await broker.pop([name("order.created")], timeoutMilliseconds: 0)?.attempt == 1)
    }

    @Test(
        "A drained broker ends the streams and takes verdicts until the last lease", arguments: BrokerHouse.Way.allCases
    )
    func drain(way: BrokerHouse.Way) async throws {
        let house = try BrokerHouse()
        let broker = try await house.connect(way)
        _ = try await broker.publish([message("1"), message("2")])
        let stream = try await broker.deliveries(
            of: name("order.created"), credit: 1, start: .beginning, leaseMilliseconds: nil)
        var iterator = stream.makeAsyncIterator()
        let delivery = try #require(try await iterator.next())
        house.broker.drain(milliseconds: 60_000)
        #expect(try await iterator.next() == nil)
        let refusal = await #expect(throws: BrokerError.self) { try await broker.publish(message("3")) }
        #expect(refusal?.code == .shuttingDown)
        try await broker.settle(delivery.lease, .ack)
        try await house.restart()
        let again = try await house.connect(way)
        #expect(text(try await again.pop([name("order.created")], timeoutMilliseconds: 0)) == "2")
        #expect(try await again.pop([name("order.created")], timeoutMilliseconds: 0) == nil)
    }
}
