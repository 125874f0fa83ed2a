import BrokerProtocol
import Testing

enum SubscriptionScenarios {
    static let all = [
        Scenario("S1", "A topic without a named subscription is a plain queue", plainQueue),
        Scenario("S2", "The first named subscription takes over, unless the default was asked for", takeover),
        Scenario("S3", "A subscription begins where it says", starts),
        Scenario("S4", "What is deleted owes nothing, and its consumers are told", deletes),
    ]

    static func plainQueue(_ stage: Stage) async throws {
        try await stage.publish("1", "2")
        try await stage.middle()
        #expect(try await stage.topic().subscriptions.map(\.name) == [stage.name("t")])
        #expect(try await stage.rest() == ["1", "2"])
        let refusal = try await stage.refusal { _ = try await stage.dead("t@email") }
        #expect(refusal == BrokerError(.subscriptionUnknown, "there is no subscription t@email"))
    }

    static func takeover(_ stage: Stage) async throws {
        try await stage.publish("1")
        try await stage.publish("1", to: "u")
        #expect(try await stage.rest("u") == ["1"])
        for name in ["t@a", "t@b", "u@a"] { try await stage.subscribe(name) }
        try await stage.middle()
        for topic in ["t", "u"] { try await stage.publish("2", to: topic) }
        #expect(try await stage.topic("t").subscriptions.map(\.name.name) == ["a", "b"])
        #expect(try await stage.topic("u").subscriptions.map(\.name.name) == ["default", "a"])
        for name in ["t@a", "t@b"] { #expect(try await stage.rest(name) == ["1", "2"]) }
        for name in ["u", "u@a"] { #expect(try await stage.rest(name) == ["2"]) }
    }

    static func starts(_ stage: Stage) async throws {
        try await stage.subscribe("t@keeper")
        try await stage.publish("1")
        try await stage.pass(seconds: 10)
        let (time, second) = (stage.clock.wall, try await stage.publish("2", "3")[0])
        try await stage.pass(seconds: 10)
        try await stage.subscribe("t@beginning", from: .beginning)
        try await stage.subscribe("t@now", from: .now)
        try await stage.subscribe("t@time", from: .time(time))
        try await stage.subscribe("t@message", from: .message(second))
        try await stage.middle()
        try await stage.publish("4")
        #expect(try await stage.rest("t@beginning") == ["1", "2", "3", "4"])
        #expect(try await stage.rest("t@now") == ["4"])
        #expect(try await stage.rest("t@time") == ["2", "3", "4"])
        #expect(try await stage.rest("t@message") == ["2", "3", "4"])
    }

    static func deletes(_ stage: Stage) async throws {
        for name in ["t@a", "t@b"] { try await stage.subscribe(name) }
        try await stage.publish("1", "2")
        var consumer = try await stage.consume("t@b", credit: 1)
        #expect(try await consumer.next()?.text == "1")
        try await stage.broker.administer(.subscriptionDelete(stage.name("t@b")))
        await #expect(throws: BrokerError.self) { _ = try await consumer.next() }
        try await stage.middle()
        #expect(try await stage.topic().subscriptions.map(\.name.name) == ["a"])
        #expect(try await stage.topic().messages == 2)
        let unknown = try await stage.refusal {
            try await stage.broker.administer(.subscriptionDelete(stage.name("t@b")))
        }
        #expect(unknown.code == .subscriptionUnknown)
        consumer = try await stage.consume("t@a", credit: 1)
        #expect(try await consumer.next()?.text == "1")
        try await stage.broker.administer(.topicDelete(TopicName("t")!))
        await #expect(throws: BrokerError.self) { _ = try await consumer.next() }
        #expect(try await stage.broker.topics() == [])
        #expect(try await stage.broker.status().messages == 0)
        let gone = try await stage.refusal { try await stage.broker.administer(.topicDelete(TopicName("t")!)) }
        #expect(gone.code == .topicUnknown)
    }
}
