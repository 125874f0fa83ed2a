import BrokerProtocol
import Testing

enum PublishScenarios {
    static let all = [
        Scenario("P1", "What was confirmed is there after a restart", durable),
        Scenario("P2", "A message that was delivered is on disk", durableBeforeDelivery),
        Scenario(
            "P3", "A topic comes with its first use; ids grow, over topics and restarts",
            configure: { $0.topicsMax = 3 }, topics),
        Scenario("P4", "A dedup id is known in its topic, by time and by count, over a restart", dedup),
        Scenario("P5", "Higher priorities come first; there are ten", priority),
        Scenario(
            "P6", "A refused publish changes nothing and names the setting",
            configure: { configuration in
                configuration.topicsMax = 2
                configuration.delayedMax = 1
            }, refusals),
        Scenario("P7", "A full disk refuses publishes, takes verdicts, and ends by itself", fullDisk),
        Scenario("P8", "Each message of a batch is accepted or refused alone", batch),
    ]

    static func durable(_ stage: Stage) async throws {
        try await stage.publish("1", "2", "3")
        try await stage.settle(try await stage.taken(), .ack)
        try await stage.middle()
        #expect(try await stage.rest() == ["2", "3"])
        #expect(try await stage.broker.status().messages == 0)
    }

    static func durableBeforeDelivery(_ stage: Stage) async throws {
        var consumer = try await stage.consume()
        let id = try await stage.publish("1")[0]
        let first = try #require(try await consumer.next())
        #expect(first.id == id && first.text == "1")
        try await stage.middle()
        if stage.restarts {
            let again = try await stage.taken()
            #expect(again.id == id && again.text == "1" && again.attempt == 2)
        } else {
            try await stage.settle(first, .ack)
        }
    }

    static func topics(_ stage: Stage) async throws {
        let first = try await stage.publish("1", to: "a")[0]
        try await stage.subscribe("b@x")
        try await stage.make("c") { _ in }
        try await stage.middle()
        #expect(try await stage.broker.topics().map(\.name.text) == ["a", "b", "c"])
        let next = try await stage.publish("2", "3", to: "c")
        #expect(first < next[0] && next[0] < next[1])
        #expect(try await stage.refusal { try await stage.make("c") { _ in } }.code == .topicExists)
        #expect(try await stage.refusal { try await stage.publish("4", to: "d") }.code == .topicLimit)
        #expect(try await stage.refusal { try await stage.subscribe("d@x") }.code == .topicLimit)
        #expect(try await stage.broker.topics().count == 3)
    }

    static func dedup(_ stage: Stage) async throws {
        func send(_ id: String, to topic: String = "t") async throws -> PublishReceipt {
            try await stage.broker.publish(stage.message(id, to: topic) { $0.dedupID = id })
        }
        try await stage.make { settings in
            settings.dedupWindowMilliseconds = 60_000
            settings.dedupMax = 2
        }
        let first = try await send("a")
        #expect(!first.isDuplicate)
        #expect(try await send("a") == PublishReceipt(id: first.id, isDuplicate: true))
        try await stage.middle()
        #expect(try await send("a") == PublishReceipt(id: first.id, isDuplicate: true))
        #expect(try await !send("a", to: "u").isDuplicate)
        #expect(try await stage.topic().messages == 1)
        _ = try await (send("b"), send("c"))
        #expect(try await !send("a").isDuplicate, "two newer ones were published")
        #expect(try await send("c").isDuplicate)
        try await stage.pass(milliseconds: 59_999)
        #expect(try await send("c").isDuplicate)
        try await stage.pass(milliseconds: 1)
        #expect(try await !send("c").isDuplicate, "the window is over")
    }

    static func priority(_ stage: Stage) async throws {
        for priority in [0, 9, 5] as [UInt8] { try await stage.publish("\(priority)") { $0.priority = priority } }
        try await stage.publish("usual", "usual")
        try await stage.middle()
        let refusal = try await stage.refusal { try await stage.publish("10") { $0.priority = 10 } }
        #expect(refusal.code == .settingInvalid)
        #expect(try await stage.rest() == ["9", "5", "usual", "usual", "0"])
    }

    static func refusals(_ stage: Stage) async throws {
        try await stage.make { $0.messagesMax = 2 }
        try await stage.publish("1") { $0.delayMilliseconds = 3_600_000 }
        try await stage.middle()
        func expect(
            _ code: BrokerError.Code, _ setting: String, to topic: String = "t",
            _ change: (inout OutgoingMessage) -> Void
        ) async throws {
            let result = try await stage.broker.publish([stage.message("x", to: topic, change)])[0]
            guard case .failure(let error) = result else { throw Stage.NotRefused() }
            #expect(error.code == code && error.message.contains(setting), "\(error)")
        }
        try await expect(.bodyTooLarge, "body_max") { $0.body = [UInt8](repeating: 0, count: (256 << 10) + 1) }
        try await expect(.headersTooLarge, "headers_max") {
            $0.headers = [Header("h", String(repeating: "x", count: 16 << 10))]
        }
        try await expect(.delayedLimit, "delayed_max") { $0.delayMilliseconds = 1_000 }
        try await stage.publish("2", to: "u")
        try await expect(.topicLimit, "topics_max", to: "v") { _ in }
        try await stage.publish("3")
        try await expect(.topicFull, "messages_max") { _ in }
        try await stage.broker.pause(.topic(TopicName("u")!), .intake)
        try await expect(.topicPaused, "u", to: "u") { _ in }
        #expect(try await stage.broker.topics().map(\.messages) == [2, 1])
        #expect(try await stage.broker.status().published == (stage.restarts ? 2 : 3))
    }

    static func fullDisk(_ stage: Stage) async throws {
        try await stage.publish("1", "2", "3", "4")
        for _ in 1...2 { try await stage.settle(try await stage.taken(), .reject(reason: "no")) }
        try await stage.restart { $0.diskFreeBytesMin = 1 << 60 }
        let refusal = try await stage.refusal { try await stage.publish("5") }
        #expect(refusal.code == .diskFull)
        try await stage.middle()
        try await stage.settle(try await stage.taken(), .ack)
        let dead = try await stage.dead().map(\.id)
        #expect(try await stage.broker.count(.deadRedrive(stage.name("t"), [dead[0]])) == 1)
        #expect(try await stage.broker.count(.deadPurge(stage.name("t"), [dead[1]])) == 1)
        try await stage.restart { $0.diskFreeBytesMin = 0 }
        try await stage.publish("6")
        #expect(try await stage.rest() == ["1", "4", "6"])
    }

    static func batch(_ stage: Stage) async throws {
        try await stage.make { $0.messagesMax = 1 }
        let results = try await stage.broker.publish([
            stage.message("1"), stage.message("2"), stage.message("3", to: "u"), stage.message("4"),
        ])
        #expect(results.map(\.code) == [nil, .topicFull, nil, .topicFull])
        try await stage.middle()
        #expect(try await stage.rest() == ["1"])
        #expect(try await stage.rest("u") == ["3"])
    }
}
