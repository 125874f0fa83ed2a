import BrokerProtocol
import Synchronization
import Testing

enum DeliveryScenarios {
    static let all = [
        Scenario("D1", "By priority, then in publish order; what comes back finds its old place", order),
        Scenario("D2", "Overdue messages get every fourth delivery", ageing),
        Scenario("D3", "Credit bounds a consumer, and deliveries go by weight", credit),
        Scenario("D4", "A lease lasts so long, can be extended so far, and ends with its connection", lease),
        Scenario("D5", "A lease that is over settles nothing and hurts nobody", fencing),
        Scenario("D6", "A pop takes from the first that has one, and waits so long", pop),
        Scenario("D7", "A delivery tells its life", counters),
        Scenario("D8", "What is paused waits until its time or until it is resumed", pause),
    ]

    static func order(_ stage: Stage) async throws {
        try await stage.publish("1", "2", "3")
        try await stage.publish("high") { $0.priority = 7 }
        let high = try await stage.taken()
        let first = try await stage.taken()
        #expect([high.text, first.text] == ["high", "1"])
        try await stage.settle(first, .fail(error: "e", afterMilliseconds: 1_000))
        try await stage.settle(high, .fail(error: "e", afterMilliseconds: 2_000))
        try await stage.middle()
        #expect(try await stage.taken().text == "2")
        try await stage.pass(seconds: 1)
        #expect(try await stage.taken().text == "1")
        try await stage.pass(seconds: 1)
        #expect(try await stage.taken().text == "high")
        #expect(try await stage.taken().text == "3")
    }

    static func ageing(_ stage: Stage) async throws {
        try await stage.make { $0.delivery.priorityAgeingMilliseconds = 60_000 }
        try await stage.publish("old", "old") { $0.priority = 0 }
        try await stage.pass(seconds: 59)
        try await stage.publish("new", "new", "new", "new") { $0.priority = 9 }
        try await stage.middle()
        #expect(try await stage.rest() == ["new", "new", "new", "new", "old", "old"], "not yet overdue")
        try await stage.publish("old", "old") { $0.priority = 0 }
        try await stage.pass(seconds: 61)
        try await stage.publish("new", "new", "new", "new", "new", "new", "new", "new") { $0.priority = 9 }
        let order = try await stage.rest()
        #expect(order.prefix(4).count { $0 == "old" } == 1)
        #expect(order.prefix(8).count { $0 == "old" } == 2)
        #expect(order.suffix(2) == ["new", "new"])
    }

    static func credit(_ stage: Stage) async throws {
        try await stage.subscribe("t@a")
        try await stage.middle()
        let (one, two) = (try await stage.connect("one"), try await stage.connect("two"))
        var light = try await stage.consume("t@a", credit: 10, weight: 1, by: one)
        var heavy = try await stage.consume("t@a", credit: 7, weight: 3, by: two)
        try await stage.publish("1", "2", "3", "4", "5", "6", "7", "8")
        let first = try await light.next(2)
        let second = try await heavy.next(6)
        #expect(Set((first + second).map(\.text)).count == 8, "two for the one, six for the other")
        try await stage.publish("9", "10", "11", "12", "13", "14", "15", "16", "17", "18")
        #expect(try await heavy.next(1).count == 1)
        #expect(try await light.next(8).count == 8)
        let numbers = try await stage.numbers("t@a")
        #expect(numbers.leased == 17 && numbers.ready == 1, "both have all that their credit allows")
        try await two.settle(second[0].lease, .ack)
        #expect(try await heavy.next()?.text == "18")
        let consumer = ConsumerID(rawValue: 77)
        let unknown = try await stage.refusal {
            try await stage.broker.administer(.credit(consumer: consumer, credit: 1))
        }
        #expect(unknown.code == .consumerUnknown)
    }

    static func lease(_ stage: Stage) async throws {
        try await stage.make { settings in
            settings.delivery.leaseMilliseconds = 10_000
            settings.delivery.leaseTotalMilliseconds = 20_000
            settings.delivery.backoffBaseMilliseconds = 0
            settings.delivery.poisonDeathsMax = 10
        }
        try await stage.publish("1")
        try await stage.middle()
        let first = try await stage.taken()
        #expect(first.leaseMilliseconds == 10_000)
        for _ in 1...2 {
            try await stage.pass(milliseconds: 9_000)
            #expect(try await stage.broker.extend([first.lease], milliseconds: 10_000) == [nil])
        }
        #expect(try await stage.broker.extend([first.lease], milliseconds: 1).map { $0?.code } == [.settingInvalid])
        try await stage.pass(milliseconds: 1_999)
        #expect(try await stage.take() == nil)
        try await stage.pass(milliseconds: 1)
        let second = try await stage.taken()
        #expect(second.attempt == 2 && second.lastError == "the lease expired", "lease_total was over")
        let lost = try await stage.broker.extend([first.lease, second.lease], milliseconds: 10_000)
        #expect(lost.map { $0?.code } == [.leaseLost, nil])
        try await stage.settle(second, .ack)
        let other = try await stage.connect("email-1")
        var consumer = try await stage.consume(lease: 5_000, by: other)
        try await stage.publish("2")
        #expect(try await consumer.next()?.leaseMilliseconds == 5_000)
        await other.close()
        let again = try await stage.broker.pop([stage.name("t")], timeoutMilliseconds: -1)
        #expect(again?.attempt == 2 && again?.lastError == "the connection of email-1 was lost")
    }

    static func fencing(_ stage: Stage) async throws {
        try await stage.publish("1", "2", "3")
        let lost = try await stage.taken()
        if stage.restarts {
            try await stage.middle()
        } else {
            try await stage.settle(lost, .release())
        }
        let (one, two) = (try await stage.taken(), try await stage.taken())
        #expect(one.id == lost.id && one.lease > lost.lease)
        try await stage.settle(one, .ack)
        let results = try await stage.broker.settle([
            Settlement(lost.lease, .ack), Settlement(one.lease, .fail(error: "e")), Settlement(two.lease, .ack),
            Settlement(two.lease, .ack), Settlement(LeaseID(rawValue: 1), .ack),
        ])
        #expect(results.map { $0?.code } == [.leaseLost, .leaseLost, nil, .leaseLost, .leaseLost])
        let three = try await stage.taken()
        let stranger = try await stage.connect()
        #expect(try await stranger.settle([Settlement(three.lease, .ack)]).map { $0?.code } == [.leaseLost])
        #expect(try await stranger.extend([three.lease], milliseconds: 1_000).map { $0?.code } == [.leaseLost])
        try await stage.settle(three, .ack)
        #expect(try await stage.broker.status().messages == 0)
    }

    static func pop(_ stage: Stage) async throws {
        try await stage.publish("b", to: "b")
        try await stage.publish("c", to: "c")
        try await stage.middle()
        let first = try #require(try await stage.take("a", "b", "c"))
        #expect(first.text == "b")
        try await stage.settle(first, .ack)
        let names = [stage.name("a"), stage.name("b")]
        #expect(try await stage.broker.pop(names, timeoutMilliseconds: 0) == nil)
        let broker = stage.broker
        let timedOut = try await stage.passing(seconds: 10) {
            try await broker.pop(names, timeoutMilliseconds: 10_000)
        }
        #expect(timedOut == nil)
        async let popped = broker.pop(names, timeoutMilliseconds: -1, acknowledges: true)
        let other = try await stage.connect()
        try await other.publish(stage.message("a", to: "a"))
        #expect(try await popped?.text == "a")
        #expect(try await stage.topic("a").messages == 0, "it is settled")
        #expect(try await stage.refusal { _ = try await broker.pop([], timeoutMilliseconds: 0) }.code != .closed)
    }

    static func counters(_ stage: Stage) async throws {
        let time = stage.clock.wall
        try await stage.publish("1") { message in
            message.priority = 6
            message.orderingKey = "k"
            message.headers = [Header("order", "4711")]
        }
        try await stage.settle(try await stage.taken(), .fail(error: "smtp 451", afterMilliseconds: 0))
        try await stage.settle(try await stage.taken(), .release())
        try await stage.pass(seconds: 5)
        try await stage.middle()
        let third = try await stage.taken()
        #expect(third.attempt == 2 && third.deliveries == 3 && third.lastError == "smtp 451")
        #expect(third.publishedAt == time && third.priority == 6 && third.orderingKey == "k")
        #expect(third.headers == [Header("order", "4711")] && third.redrives == 0)
        try await stage.settle(third, .reject(reason: "no"))
        #expect(try await stage.broker.count(.deadRedrive(stage.name("t"), [])) == 1)
        let again = try await stage.taken()
        #expect(again.attempt == 1 && again.deliveries == 1 && again.redrives == 1 && again.publishedAt == time)
    }

    static func pause(_ stage: Stage) async throws {
        let (broker, topic) = (stage.broker, PauseTarget.topic(TopicName("t")!))
        for name in ["t@a", "t@b"] { try await stage.subscribe(name) }
        let first = try await broker.publish(stage.message("1") { $0.dedupID = "d" })
        let leased = try await stage.taken("t@a")
        try await broker.pause(topic, .intake)
        try await broker.pause(.subscription(stage.name("t@a")), .delivery, until: stage.later(seconds: 60))
        try await stage.settle(leased, .release())
        try await stage.middle()
        #expect(try await stage.refusal { try await stage.publish("2") }.code == .topicPaused)
        let repeated = try await stage.broker.publish(stage.message("1") { $0.dedupID = "d" })
        #expect(repeated.id == first.id && repeated.isDuplicate)
        #expect(try await stage.take("t@a") == nil)
        #expect(try await stage.rest("t@b") == ["1"])
        #expect(try await stage.topic().figures["intake_paused"] == 1)
        try await stage.pass(seconds: 60)
        #expect(try await stage.rest("t@a") == ["1"], "its pause is over")
        try await stage.broker.resume(topic, .both)
        try await stage.broker.pause(topic, .delivery)
        try await stage.publish("3")
        for name in ["t@a", "t@b"] { #expect(try await stage.take(name) == nil) }
        try await stage.broker.resume(topic, .delivery)
        for name in ["t@a", "t@b"] { #expect(try await stage.rest(name) == ["3"]) }
        let unknown = PauseTarget.topic(TopicName("nowhere")!)
        #expect(try await stage.refusal { try await stage.broker.pause(unknown, .both) }.code == .topicUnknown)
        let intake = try await stage.refusal {
            try await stage.broker.pause(.subscription(stage.name("t@a")), .intake)
        }
        #expect(intake.code == .settingInvalid)
    }
}

/// Whether something is over, for a loop beside it.
private final class Ending: Sendable {
    let isReached = Atomic(false)
}

extension Stage {
    /// Lets time pass until what waits for it is over.
    func passing<Value: Sendable>(
        seconds: Int64, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let ending = Ending()
        let task = Task {
            defer { ending.isReached.store(true, ordering: .releasing) }
            return try await body()
        }
        while !ending.isReached.load(ordering: .acquiring) { try await pass(seconds: seconds) }
        return try await task.value
    }
}
