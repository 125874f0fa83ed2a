import BrokerProtocol
import Testing

enum LimitScenarios {
    static let all = [
        Scenario("L1", "Open messages are bounded; dead letters are not open", messages),
        Scenario("L2", "Bytes of bodies and headers are bounded", bytes),
        Scenario("L3", "Overflow drops or buries the oldest ready messages, and nothing else", overflow),
        Scenario("L4", "A topic's age is the expiry of its messages", age),
    ]

    static func messages(_ stage: Stage) async throws {
        try await stage.make { $0.messagesMax = 2 }
        try await stage.publish("1", "2")
        let full = try await stage.refusal { try await stage.publish("3") }
        #expect(full.code == .topicFull && full.message.contains("messages_max"))
        try await stage.settle(try await stage.taken(), .reject(reason: "no"))
        try await stage.publish("4")
        try await stage.middle()
        let two = try await stage.taken()
        #expect(try await stage.refusal { try await stage.publish("5") }.code == .topicFull, "leased ones are open")
        try await stage.settle(two, .ack)
        try await stage.publish("6")
        #expect(try await stage.topic().figures["open"] == 2)
        #expect(try await stage.rest() == ["4", "6"])
        #expect(try await stage.dead().map(\.text) == ["1"])
    }

    static func bytes(_ stage: Stage) async throws {
        try await stage.make { $0.bytesMax = 14 }
        try await stage.publish("12345")
        try await stage.publish("1") { $0.headers = [Header("a", "bcd")] }
        #expect(try await stage.topic().figures["open_bytes"] == 14)
        try await stage.middle()
        let full = try await stage.refusal { try await stage.publish("1") }
        #expect(full.code == .topicFull && full.message.contains("bytes_max"))
        try await stage.settle(try await stage.taken(), .ack)
        try await stage.publish("67890")
        #expect(try await stage.rest() == ["1", "67890"])
    }

    static func overflow(_ stage: Stage) async throws {
        try await stage.make("drop") { settings in
            settings.messagesMax = 2
            settings.overflow = .dropOldest
        }
        try await stage.make("bury") { settings in
            settings.messagesMax = 2
            settings.overflow = .deadLetterOldest
        }
        for topic in ["drop", "bury"] { try await stage.publish("1", "2", "3", to: topic) }
        #expect(try await stage.topic("drop").figures["dropped"] == 1)
        #expect(try await stage.topic("bury").figures["overflowed"] == 1)
        try await stage.middle()
        #expect(try await stage.dead("drop").isEmpty)
        let dead = try await stage.dead("bury")
        #expect(dead.map(\.text) == ["1"] && dead.map(\.reason) == ["overflow"])
        let leased = try await stage.taken("drop")
        try await stage.publish("4", to: "drop") { $0.delayMilliseconds = 60_000 }
        #expect(try await stage.numbers("drop").ready == 0)
        let full = try await stage.refusal { try await stage.publish("5", to: "drop") }
        #expect(full.code == .topicFull, "one is leased, one is delayed")
        #expect(leased.text == "2")
        try await stage.settle(leased, .ack)
        try await stage.pass(seconds: 60)
        #expect(try await stage.rest("drop") == ["4"])
        #expect(try await stage.rest("bury") == ["2", "3"])
    }

    static func age(_ stage: Stage) async throws {
        try await stage.make { $0.messageAgeMaxMilliseconds = 60_000 }
        try await stage.make("drop") { settings in
            settings.messageAgeMaxMilliseconds = 60_000
            settings.expired = .drop
        }
        try await stage.publish("1")
        let expiry = stage.later(seconds: 10)
        try await stage.publish("2") { $0.expiresAt = expiry }
        try await stage.publish("3", to: "drop")
        try await stage.middle()
        try await stage.pass(seconds: 11)
        #expect(try await stage.dead().map(\.text) == ["2"], "its own expiry was earlier")
        try await stage.pass(seconds: 48)
        #expect(try await stage.numbers().ready == 1)
        try await stage.pass(seconds: 2)
        #expect(try await stage.dead().map(\.reason) == ["expired", "expired"])
        #expect(try await stage.numbers("drop").figures["expired"] == 1)
        #expect(try await stage.dead("drop").isEmpty)
        #expect(try await stage.broker.status().ready == 0)
    }
}
