import BrokerProtocol
import Testing

enum LookScenarios {
    static let all = [
        Scenario("B1", "Looking shows the messages in publish order, and changes nothing", peek),
        Scenario("B1", "A subscription shows its messages in every state", browse),
        Scenario("B1", "Delete takes a message from one subscription, unless it is leased", delete),
        Scenario(
            "B2", "The history tells where a message went",
            configure: { $0.historyMilliseconds = 3_600_000 }, history),
    ]

    static func peek(_ stage: Stage) async throws {
        func look(_ from: MessageID, _ limit: UInt32) async throws -> [String] {
            let response = try await stage.broker.perform(.peek(TopicName("t")!, from: from, limit: limit))
            guard case .messages(let messages) = response else { throw Stage.NotRefused() }
            return messages.map(\.text)
        }
        let ids = try await stage.publish("1", "2", "3", "4")
        try await stage.publish("5") { $0.priority = 9 }
        try await stage.settle(try await stage.taken(), .ack)
        try await stage.middle()
        #expect(try await look(ids[0], 2) == ["1", "2"])
        #expect(try await look(ids[2], 10) == ["3", "4"], "the one that is done is gone")
        #expect(try await stage.numbers().ready == 4)
        #expect(try await stage.taken().attempt == 1)
        let unknown = try await stage.refusal {
            let response = try await stage.broker.perform(.peek(TopicName("u")!, from: ids[0], limit: 1))
            if case .refused(let error) = response { throw error }
        }
        #expect(unknown.code == .topicUnknown)
    }

    static func history(_ stage: Stage) async throws {
        let id = try await stage.publish("1") { $0.headers = [Header("order", "4711")] }[0]
        try await stage.settle(try await stage.taken(), .fail(error: "smtp 451", afterMilliseconds: 0))
        try await stage.settle(try await stage.taken(), .ack)
        try await stage.publish("2") { $0.headers = [Header("order", "4712")] }
        try await stage.middle()
        let history = try await stage.broker.history(of: .message(id))
        #expect(history.events.map(\.kind) == [.published, .delivered, .failed, .delivered, .acknowledged])
        #expect(history.events.map(\.detail).contains("smtp 451"))
        #expect(try await stage.broker.history(of: .header(Header("order", "4711"))) == history)
        #expect(try await stage.broker.history(of: .header(Header("order", "0"))) == MessageHistory())
    }

    static func browse(_ stage: Stage) async throws {
        let name = stage.name("t")
        let ids = try await stage.publish("dead", "failed", "leased", "ready")
        try await stage.publish("held") { $0.orderingKey = "k" }
        let timed = stage.later(seconds: 60)
        try await stage.publish("delayed") { $0.deliverAt = timed }
        try await stage.settle(try await stage.taken(), .reject(reason: "no"))
        try await stage.settle(try await stage.taken(), .fail(error: "smtp 451", afterMilliseconds: 30_000))
        try await stage.middle()
        let holder = try await stage.connect("email-1")
        let leased = try await holder.pop([name], timeoutMilliseconds: 0)
        #expect(leased?.text == "leased")
        var query = BrowseQuery()
        query.wantsBodies = true
        for _ in 1...2 {
            let page = try await stage.broker.browse(name, query)
            #expect(page.messages.map(\.message.text) == ["dead", "failed", "leased", "ready", "held", "delayed"])
            #expect(page.messages.map(\.state) == [.dead, .delayed, .leased, .ready, .ready, .delayed])
            #expect(page.next == nil)
            let (dead, failed, held) = (page.messages[0], page.messages[1], page.messages[2])
            #expect(dead.death?.code == .rejected)
            #expect(failed.message.attempt == 1 && failed.message.lastError == "smtp 451")
            #expect(held.holder == "email-1" && held.leaseMilliseconds == 30_000)
            #expect(page.messages[5].readyAt == timed)
        }
        query.states = [.delayed]
        query.errorContains = "451"
        #expect(try await stage.broker.browse(name, query).messages.map(\.message.id) == [ids[1]])
        query = BrowseQuery()
        query.limit = 2
        query.from = ids[1]
        let page = try await stage.broker.browse(name, query)
        #expect(page.messages.map(\.message.id) == [ids[1], ids[2]] && page.next == ids[3])
        let unknown = try await stage.refusal { _ = try await stage.broker.browse(stage.name("u"), query) }
        #expect(unknown.code == .topicUnknown)
    }

    static func delete(_ stage: Stage) async throws {
        for name in ["t@a", "t@b"] { try await stage.subscribe(name) }
        let ids = try await stage.publish("dead", "leased", "ready", "rest")
        try await stage.settle(try await stage.taken("t@a"), .reject(reason: "no"))
        let leased = try await stage.taken("t@a")
        let results = try await stage.broker.delete(ids.dropLast() + [ids[0]], from: stage.name("t@a"))
        #expect(results.map { $0?.code } == [nil, .messageLeased, nil, .messageUnknown])
        try await stage.settle(leased, .ack)
        try await stage.middle()
        #expect(try await stage.rest("t@a") == ["rest"])
        #expect(try await stage.dead("t@a") == [])
        #expect(try await stage.rest("t@b") == ["dead", "leased", "ready", "rest"])
    }
}
