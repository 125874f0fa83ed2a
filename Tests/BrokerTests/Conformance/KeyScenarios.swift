import BrokerProtocol
import Testing

enum KeyScenarios {
    static let all = [
        Scenario("K1", "One message of a key at a time, also while it waits for its retry", oneAtATime),
        Scenario("K2", "A key goes on after a dead letter, or is parked until that is done", parking),
    ]

    static func oneAtATime(_ stage: Stage) async throws {
        try await stage.publish("k1", "k2", "k3") { $0.orderingKey = "k" }
        try await stage.publish("j1") { $0.orderingKey = "j" }
        let first = try await stage.taken()
        #expect(first.text == "k1")
        #expect(try await stage.rest() == ["j1"])
        #expect(try await stage.broker.keys(of: stage.name("t")).map(\.state) == [.inFlight])
        try await stage.settle(first, .fail(error: "e", afterMilliseconds: 10_000))
        try await stage.middle()
        #expect(try await stage.take() == nil)
        let keys = try await stage.broker.keys(of: stage.name("t"))
        #expect(keys.map(\.key) == ["k"] && keys.map(\.state) == [.waiting] && keys.map(\.owner) == [first.id])
        #expect(try await stage.numbers().ready == 2, "held ones count as ready")
        try await stage.pass(seconds: 10)
        let again = try await stage.taken()
        #expect(again.text == "k1")
        try await stage.settle(again, .release(afterMilliseconds: 5_000))
        #expect(try await stage.take() == nil)
        try await stage.pass(seconds: 5)
        #expect(try await stage.rest() == ["k1", "k2", "k3"])
        #expect(try await stage.broker.keys(of: stage.name("t")) == [])
    }

    static func parking(_ stage: Stage) async throws {
        try await stage.make { $0.delivery.parksAfterDead = true }
        try await stage.publish("1", "2", "3", "4") { $0.orderingKey = "k" }
        try await stage.publish("other") { $0.orderingKey = "j" }
        let first = try await stage.taken()
        try await stage.settle(first, .reject(reason: "no"))
        #expect(try await stage.rest() == ["other"])
        try await stage.middle()
        let parked = try await stage.broker.keys(of: stage.name("t"), parkedOnly: true)
        #expect(parked.map(\.key) == ["k"] && parked.map(\.owner) == [first.id])
        try await stage.broker.administer(.topicSet(TopicName("t")!, TopicSettings()))
        #expect(try await stage.take() == nil, "it stays so when the setting changes")
        #expect(try await stage.broker.count(.deadRedrive(stage.name("t"), [first.id])) == 1)
        let again = try await stage.taken()
        #expect(again.id == first.id)
        #expect(try await stage.take() == nil)
        try await stage.settle(again, .ack)
        var settings = TopicSettings()
        settings.delivery.parksAfterDead = true
        try await stage.broker.administer(.topicSet(TopicName("t")!, settings))
        try await stage.settle(try await stage.taken(), .reject(reason: "no"))
        #expect(try await stage.take() == nil)
        #expect(try await stage.broker.releaseKeys(["k", "free"], of: stage.name("t")) == 1)
        #expect(try await stage.dead().map(\.text) == ["2"], "the dead letter stays")
        try await stage.settle(try await stage.taken(), .reject(reason: "no"))
        #expect(try await stage.broker.count(.deadPurge(stage.name("t"), [])) == 2)
        #expect(try await stage.rest() == ["4"])
        try await stage.publish("1", "2", to: "u") { $0.orderingKey = "k" }
        try await stage.settle(try await stage.taken("u"), .reject(reason: "no"))
        #expect(try await stage.rest("u") == ["2"], "continue is the usual way")
    }
}
