import BrokerProtocol
import Testing

enum SettleScenarios {
    static let all = [
        Scenario("V1", "An ack is for its subscription, and for ever", ack),
        Scenario("V2", "A failure counts, and its hint wins over the policy", fail),
        Scenario("V3", "A release does not count", release),
        Scenario("V4", "What is rejected is dead at once", reject),
        Scenario("V5", "One retry policy for a failure, a lease that ran out, a lost connection", policy),
        Scenario("V6", "A message is given up by attempts, by age and as poison", givingUp),
        Scenario("V7", "A restart counts as an attempt, and as no death", restart),
        Scenario("V8", "Each verdict of a batch has its result", batch),
        Scenario("V9", "A commit does everything, or nothing and names what refused it", commit),
    ]

    static func ack(_ stage: Stage) async throws {
        for name in ["t@a", "t@b"] { try await stage.subscribe(name) }
        try await stage.publish("1")
        let delivery = try await stage.taken("t@a")
        try await stage.settle(delivery, .ack)
        try await stage.middle()
        try await stage.pass(seconds: 3_600)
        #expect(try await stage.refusal { try await stage.settle(delivery, .ack) }.code == .leaseLost)
        #expect(try await stage.take("t@a") == nil)
        #expect(try await stage.rest("t@b") == ["1"])
        #expect(try await stage.broker.status().messages == 0)
    }

    static func fail(_ stage: Stage) async throws {
        try await stage.make { settings in
            settings.delivery.backoff = .list
            settings.delivery.backoffList = [5_000]
        }
        try await stage.publish("1")
        try await stage.settle(try await stage.taken(), .fail(error: "first"))
        try await stage.middle()
        try await stage.pass(milliseconds: 4_999)
        #expect(try await stage.take() == nil)
        try await stage.pass(milliseconds: 1)
        let second = try await stage.taken()
        #expect(second.attempt == 2 && second.lastError == "first")
        try await stage.settle(second, .fail(error: "second", afterMilliseconds: 60_000))
        try await stage.pass(milliseconds: 59_999)
        #expect(try await stage.take() == nil)
        try await stage.pass(milliseconds: 1)
        #expect(try await stage.taken().lastError == "second")
    }

    static func release(_ stage: Stage) async throws {
        try await stage.make { $0.delivery.attemptsMax = 1 }
        try await stage.publish("1")
        for _ in 1...3 { try await stage.settle(try await stage.taken(), .release()) }
        try await stage.settle(try await stage.taken(), .release(afterMilliseconds: 10_000))
        try await stage.middle()
        try await stage.pass(milliseconds: 9_999)
        #expect(try await stage.take() == nil)
        try await stage.pass(milliseconds: 1)
        let last = try await stage.taken()
        #expect(last.attempt == 1 && last.deliveries == 5 && last.lastError == nil)
    }

    static func reject(_ stage: Stage) async throws {
        for name in ["t@a", "t@b"] { try await stage.subscribe(name) }
        try await stage.publish("1")
        try await stage.settle(try await stage.taken("t@a"), .reject(reason: "no address"))
        try await stage.middle()
        #expect(try await stage.take("t@a") == nil)
        #expect(try await stage.dead("t@a").map(\.reason) == ["rejected: no address"])
        #expect(try await stage.dead("t@b") == [])
        #expect(try await stage.rest("t@b") == ["1"])
    }

    static func policy(_ stage: Stage) async throws {
        try await stage.make { settings in
            settings.delivery.backoff = .linear
            settings.delivery.backoffBaseMilliseconds = 2_000
            settings.delivery.backoffCapMilliseconds = 5_000
            settings.delivery.leaseMilliseconds = 1_000
            settings.delivery.poisonDeathsMax = 10
        }
        func demandWait(_ milliseconds: Int64, _ what: String) async throws {
            try await stage.pass(milliseconds: milliseconds - 1)
            #expect(try await stage.take() == nil, "\(what)")
            try await stage.pass(milliseconds: 1)
        }
        try await stage.publish("1")
        try await stage.settle(try await stage.taken(), .fail(error: "e"))
        try await stage.middle()
        try await demandWait(2_000, "a failure, the first time")
        _ = try await stage.taken()
        try await stage.pass(milliseconds: 1_000)
        try await demandWait(4_000, "a lease that ran out, the second time")
        _ = try await stage.taken()
        try await stage.reconnect()
        #expect(try await stage.until { try await stage.numbers().delayed == 1 })
        try await demandWait(5_000, "a lost connection, the third time: the cap")
        var settings = TopicSettings()
        settings.delivery.backoff = .list
        settings.delivery.backoffList = [1_000, 3_000]
        try await stage.make("list") { $0 = settings }
        try await stage.publish("1", to: "list")
        for wait in [1_000, 3_000, 3_000] as [Int64] {
            try await stage.settle(try await stage.taken("list"), .fail(error: "e"))
            try await stage.pass(milliseconds: wait - 1)
            #expect(try await stage.take("list") == nil)
            try await stage.pass(milliseconds: 1)
        }
        try await exponential(stage)
        settings.delivery.backoffList = []
        let refusal = try await stage.refusal {
            try await stage.broker.administer(.topicSet(TopicName("t")!, settings))
        }
        #expect(refusal.code == .settingInvalid && refusal.message.contains("backoff_list"))
    }

    /// Many messages, so that chance has to show its bounds.
    private static func exponential(_ stage: Stage) async throws {
        try await stage.make("random") { settings in
            settings.delivery.backoffBaseMilliseconds = 1_000
            settings.delivery.backoffCapMilliseconds = 3_000
        }
        _ = try await stage.broker.publish((0..<50).map { stage.message("\($0)", to: "random") })
        for bound in [1_000, 2_000, 3_000, 3_000] as [Int64] {
            while let delivery = try await stage.take("random") { try await stage.settle(delivery, .fail(error: "e")) }
            #expect(try await stage.numbers("random").delayed == 50)
            try await stage.pass(milliseconds: bound / 2)
            let early = try await stage.numbers("random").ready
            #expect((5...45).contains(early), "about half of them")
            try await stage.pass(milliseconds: bound / 2)
            #expect(try await stage.numbers("random").ready == 50)
        }
    }

    static func givingUp(_ stage: Stage) async throws {
        try await stage.make("attempts") { $0.delivery.attemptsMax = 2 }
        try await stage.make("age") { $0.delivery.retryAgeMaxMilliseconds = 60_000 }
        try await stage.make("poison") { settings in
            settings.delivery.poisonDeathsMax = 2
            settings.delivery.backoffBaseMilliseconds = 0
        }
        let topics = ["attempts", "age", "poison"]
        for topic in topics { try await stage.publish("1", to: topic) }
        for topic in topics {
            try await stage.settle(try await stage.taken(topic), .fail(error: "e", afterMilliseconds: 0))
        }
        try await stage.middle()
        try await stage.settle(try await stage.taken("attempts"), .fail(error: "last", afterMilliseconds: 0))
        try await stage.settle(try await stage.taken("age"), .fail(error: "last", afterMilliseconds: 60_001))
        for _ in 1...2 {
            _ = try await stage.taken("poison")
            try await stage.pass(seconds: 30)
        }
        for topic in topics {
            let dead = try await stage.dead(topic)
            #expect(dead.map(\.reason) == [topic] && dead.map(\.text) == ["1"])
            #expect(dead.map(\.attempts) == [topic == "poison" ? 3 : 2])
            #expect(try await stage.take(topic) == nil)
        }
    }

    static func restart(_ stage: Stage) async throws {
        try await stage.make { $0.delivery.poisonDeathsMax = 1 }
        try await stage.publish("1")
        for attempt in 1...3 as ClosedRange<UInt32> {
            #expect(try await stage.taken().attempt == attempt)
            try await stage.restart()
        }
        try await stage.middle()
        #expect(try await stage.dead() == [])
        #expect(try await stage.rest() == ["1"])
    }

    static func batch(_ stage: Stage) async throws {
        try await stage.publish("1", "2", "3", "4")
        var held: [Delivery] = []
        for _ in 1...4 { held.append(try await stage.taken()) }
        let results = try await stage.broker.settle([
            Settlement(held[0].lease, .ack), Settlement(LeaseID(rawValue: 5), .ack),
            Settlement(held[1].lease, .reject(reason: "no")),
            Settlement(held[2].lease, .fail(error: "e", afterMilliseconds: 60_000)),
            Settlement(held[3].lease, .release()),
        ])
        #expect(results.map { $0?.code } == [nil, .leaseLost, nil, nil, nil])
        try await stage.middle()
        #expect(try await stage.rest() == ["4"])
        #expect(try await stage.dead().map(\.text) == ["2"])
        #expect(try await stage.numbers().delayed == 1)
    }

    static func commit(_ stage: Stage) async throws {
        try await stage.make("full") { $0.messagesMax = 1 }
        try await stage.publish("order")
        let delivery = try await stage.taken()
        let (next, full) = (stage.message("next", to: "u"), stage.message("full", to: "full"))
        func commit(_ messages: [OutgoingMessage], _ leases: [LeaseID]) async throws {
            try await stage.broker.commit(publishing: messages, settling: leases.map { Settlement($0, .ack) })
        }
        let lost = try await stage.refusal { try await commit([next], [delivery.lease, LeaseID(rawValue: 7)]) }
        #expect(lost.code == .leaseLost && lost.message.contains("settle 2 of 2"))
        let refused = try await stage.refusal { try await commit([next, full, full], [delivery.lease]) }
        #expect(refused.code == .topicFull && refused.message.contains("publish 3 of 3"))
        #expect(try await stage.rest("u") == [])
        #expect(try await stage.rest("full") == [])
        let receipts = try await stage.broker.commit(
            publishing: [next, full], settling: [Settlement(delivery.lease, .ack)])
        #expect(receipts.count == 2 && receipts[0].id < receipts[1].id)
        try await stage.middle()
        #expect(try await stage.rest("u") == ["next"])
        #expect(try await stage.rest("full") == ["full"])
        #expect(try await stage.rest() == [])
        #expect(try await stage.broker.status().messages == 0)
    }
}

extension Stage {
    /// Asks until it is so: for what another thread of the kernel brings, such as the end of a connection.
    func until(_ condition: () async throws -> Bool) async throws -> Bool {
        for _ in 0..<100_000 {
            if try await condition() { return true }
        }
        return false
    }
}
