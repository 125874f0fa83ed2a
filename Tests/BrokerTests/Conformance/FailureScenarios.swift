import BrokerProtocol
import Testing

enum FailureScenarios {
    static let all = [
        Scenario("Z3", "A directory has one broker", lock),
        Scenario("Z4", "A stop ends deliveries and publishes, and takes verdicts until the last lease", stop),
    ]

    static func lock(_ stage: Stage) async throws {
        try await stage.publish("1")
        try await stage.middle()
        #expect(throws: (any Error).self) { try stage.startSecond() }
        #expect(try await stage.rest() == ["1"], "the first one is not hurt")
    }

    static func stop(_ stage: Stage) async throws {
        try await stage.publish("1", "2")
        try await stage.middle()
        var consumer = try await stage.consume(credit: 1)
        let delivery = try #require(try await consumer.next())
        stage.drain()
        #expect(try await consumer.next() == nil)
        #expect(try await stage.refusal { try await stage.publish("3") }.code == .shuttingDown)
        let pop = try await stage.refusal { _ = try await stage.take("u") }
        #expect(pop.code == .shuttingDown)
        try await stage.settle(delivery, .ack)
        try await stage.restart()
        #expect(try await stage.rest() == ["2"])
    }
}
