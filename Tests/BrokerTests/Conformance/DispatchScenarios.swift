import BrokerProtocol
import Testing

enum DispatchScenarios {
    static let all = [
        Scenario("D9", "Rates and leases of a subscription are bounded, and change at once", rate),
        Scenario("D10", "Values of the fair header are served in turn, by weight", fair),
        Scenario("D11", "A key stays with its consumer as long as that lives", sticky),
    ]

    static func rate(_ stage: Stage) async throws {
        var settings = DeliverySettings()
        settings.rate = DeliveryRate("2/s")!
        try await stage.subscribe("t@a")
        try await stage.broker.administer(.subscriptionSet(stage.name("t@a"), settings))
        try await stage.publish("1", "2", "3", "4", "5", "6", "7")
        try await stage.middle()
        #expect(try await stage.rest("t@a") == ["1", "2"], "the bucket is full at first, also after a start")
        try await stage.pass(milliseconds: 499)
        #expect(try await stage.rest("t@a") == [])
        try await stage.pass(milliseconds: 1)
        #expect(try await stage.rest("t@a") == ["3"])
        try await stage.pass(seconds: 3_600)
        #expect(try await stage.rest("t@a") == ["4", "5"], "an hour of rest is not saved")
        settings.rate = .unbounded
        settings.inFlightMax = 1
        try await stage.broker.administer(.subscriptionSet(stage.name("t@a"), settings))
        let leased = try await stage.taken("t@a")
        #expect(try await stage.take("t@a") == nil)
        try await stage.settle(leased, .ack)
        #expect(try await stage.taken("t@a").text == "7")
        settings.inFlightMax = 0
        settings.keyRate = DeliveryRate("1/m")!
        try await stage.broker.administer(.subscriptionSet(stage.name("t@a"), settings))
        try await stage.publish("k1", "k2") { $0.orderingKey = "k" }
        try await stage.publish("j1") { $0.orderingKey = "j" }
        #expect(try await stage.rest("t@a") == ["k1", "j1"])
        try await stage.pass(milliseconds: 29_000)
        #expect(try await stage.rest("t@a") == [])
        try await stage.pass(milliseconds: 31_000)
        #expect(try await stage.rest("t@a").contains("k2"))
        settings.rateBurst = .max
        let refusal = try await stage.refusal {
            try await stage.broker.administer(.subscriptionSet(stage.name("t@a"), settings))
        }
        #expect(refusal.code == .settingInvalid && refusal.message.contains("rate_burst"))
    }

    static func fair(_ stage: Stage) async throws {
        try await stage.make { settings in
            settings.delivery.fairHeader = "tenant"
            settings.delivery.fairWeights = FairWeights("big=2")!
        }
        func publish(_ tenant: String, _ count: Int) async throws {
            for _ in 0..<count { try await stage.publish(tenant) { $0.headers = [Header("tenant", tenant)] } }
        }
        try await publish("big", 20)
        try await publish("small", 3)
        try await stage.publish("none")
        try await stage.middle()
        let order = try await stage.rest()
        #expect(order.count == 24)
        #expect(order.prefix(4).sorted() == ["big", "big", "none", "small"], "each value in its turn")
        #expect(order.dropFirst(4).prefix(6).sorted() == ["big", "big", "big", "big", "small", "small"])
        #expect(order.suffix(14) == Array(repeating: "big", count: 14)[...])
        var settings = TopicSettings()
        settings.delivery.fairHeader = String(repeating: "x", count: 256)
        let refusal = try await stage.refusal {
            try await stage.broker.administer(.topicSet(TopicName("t")!, settings))
        }
        #expect(refusal.code == .settingInvalid && refusal.message.contains("fair_header"))
    }

    static func sticky(_ stage: Stage) async throws {
        try await stage.make { settings in
            settings.delivery.isSticky = true
            settings.delivery.backoffBaseMilliseconds = 0
        }
        try await stage.middle()
        let (one, two) = (try await stage.connect("one"), try await stage.connect("two"))
        var first = try await stage.consume(by: one)
        try await stage.publish("k1") { $0.orderingKey = "k" }
        try await one.settle(try #require(try await first.next()).lease, .ack)
        var second = try await stage.consume(by: two)
        try await stage.publish("k2") { $0.orderingKey = "k" }
        try await stage.publish("j1") { $0.orderingKey = "j" }
        let held = try #require(try await first.next())
        #expect(held.text == "k2", "although the other one was idle for longer")
        let other = try #require(try await second.next())
        #expect(other.text == "j1", "the key that nobody had goes to who has less")
        try await stage.publish("k3") { $0.orderingKey = "k" }
        try await two.settle(other.lease, .ack)
        #expect(try await stage.numbers().ready == 1, "it waits for its consumer")
        await one.close()
        #expect(try await second.next()?.text == "k2")
    }
}
