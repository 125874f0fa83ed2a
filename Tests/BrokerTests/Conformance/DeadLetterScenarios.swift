import BrokerProtocol
import Testing

enum DeadLetterScenarios {
    static let all = [
        Scenario("X1", "A dead letter keeps what is known of it until it is redriven or purged", kept),
        Scenario("X2", "A redrive goes back to the subscription that gave up; a purge removes", redrive),
        Scenario("X2", "Dead letters are chosen by reason, error, header, key and age, up to a limit", choose),
        Scenario("X3", "A redrive with a rate goes on by itself, over restarts", rate),
        Scenario("X4", "More dead letters than allowed raise an alarm, and nothing is lost", alarm),
    ]

    static func kept(_ stage: Stage) async throws {
        let published = stage.clock.wall
        try await stage.publish("1") { $0.headers = [Header("order", "4711")] }
        let long = String(repeating: "x", count: 5_000)
        try await stage.settle(try await stage.taken(), .fail(error: long, afterMilliseconds: 0))
        try await stage.pass(seconds: 5)
        let died = stage.clock.wall
        try await stage.settle(try await stage.taken(), .reject(reason: "no address"))
        try await stage.middle()
        try await stage.pass(seconds: 86_400)
        let dead = try #require(try await stage.dead().first)
        #expect(dead.text == "1" && dead.headers == [Header("order", "4711")] && dead.subscription == stage.name("t"))
        #expect(dead.reason == "rejected: no address" && dead.lastError == String(long.prefix(1_021)) + "…")
        #expect(dead.attempts == 2 && dead.redrives == 0 && dead.code == .rejected && dead.lastConsumer == "stage")
        #expect(dead.attemptTimes == [published, died])
        #expect(dead.publishedAt == published && dead.deadAt == died)
        #expect(try await stage.numbers().dead == 1)
    }

    static func redrive(_ stage: Stage) async throws {
        let name = stage.name("t@a")
        for name in ["t@a", "t@b"] { try await stage.subscribe(name) }
        let ids = try await stage.publish("1", "2", "3")
        for _ in 1...3 { try await stage.settle(try await stage.taken("t@a"), .reject(reason: "no")) }
        #expect(try await stage.rest("t@b") == ["1", "2", "3"])
        #expect(try await stage.broker.count(.deadRedrive(name, [ids[1]])) == 1)
        try await stage.middle()
        let again = try await stage.taken("t@a")
        #expect(again.id == ids[1] && again.attempt == 1 && again.redrives == 1 && again.text == "2")
        try await stage.settle(again, .ack)
        #expect(try await stage.take("t@b") == nil)
        #expect(try await stage.broker.count(.deadPurge(name, [ids[0]])) == 1)
        for request in [Request.deadPurge(name, [ids[0]]), .deadRedrive(name, [ids[2], ids[1]])] {
            let unknown = try await stage.refusal { _ = try await stage.broker.count(request) }
            #expect(unknown.code == .messageUnknown)
        }
        #expect(try await stage.dead("t@a").map(\.text) == ["3"], "a refused one changes nothing")
        #expect(try await stage.broker.count(.deadRedrive(name, [])) == 1)
        #expect(try await stage.rest("t@a") == ["3"])
        #expect(try await stage.broker.count(.deadPurge(name, [])) == 0)
        #expect(try await stage.broker.status().messages == 0)
    }

    static func choose(_ stage: Stage) async throws {
        let name = stage.name("t")
        try await stage.publish("a", "b") { message in
            message.headers = [Header("tenant", "big")]
            message.orderingKey = "k"
        }
        try await stage.publish("c", "d", "e")
        let early = stage.clock.wall
        for reason in ["smtp 451", "smtp 550", "smtp 550"] {
            try await stage.settle(try await stage.taken(), .reject(reason: reason))
        }
        try await stage.pass(seconds: 10)
        for _ in 1...2 { try await stage.settle(try await stage.taken(), .reject(reason: "late")) }
        try await stage.middle()
        func count(_ change: (inout DeadSelection) -> Void) async throws -> UInt64 {
            var selection = DeadSelection()
            selection.isDryRun = true
            change(&selection)
            return try await stage.broker.redrive(name, selection)
        }
        #expect(try await count { _ in } == 5)
        #expect(try await count { $0.reasons = [.rejected] } == 5)
        #expect(try await count { $0.reasons = [.attempts, .poison] } == 0)
        #expect(try await count { $0.errorContains = "550" } == 2)
        #expect(try await count { $0.headers = [Header("tenant", "big")] } == 2)
        #expect(try await count { $0.orderingKey = "k" } == 2)
        #expect(try await count { $0.diedFrom = early.adding(milliseconds: 1) } == 2)
        #expect(try await count { $0.diedBefore = early.adding(milliseconds: 1) } == 3)
        #expect(try await count { $0.limit = 4 } == 4)
        #expect(try await stage.dead().count == 5, "a dry run counts only")
        var some = DeadSelection()
        some.errorContains = "550"
        some.limit = 1
        #expect(try await stage.broker.redrive(name, some) == 1)
        some.limit = 0
        #expect(try await stage.broker.purge(name, some) == 1)
        #expect(try await stage.rest() == ["b"])
        #expect(try await stage.dead().map(\.text) == ["a", "d", "e"])
    }

    static func rate(_ stage: Stage) async throws {
        let name = stage.name("t")
        try await stage.publish("1", "2", "3", "4")
        for _ in 1...4 { try await stage.settle(try await stage.taken(), .reject(reason: "no")) }
        let job = try await stage.broker.redrive(name, [], rate: 1)
        let first = try await stage.taken()
        #expect(first.text == "1", "one at once")
        try await stage.settle(first, .reject(reason: "again"))
        try await stage.middle()
        #expect(try await stage.broker.deadJobs().map(\.id) == [job.id])
        for _ in 1...5 { try await stage.pass(seconds: 1) }
        #expect(try await stage.rest() == ["2", "3", "4"])
        #expect(try await stage.dead().map(\.text) == ["1"], "what dies after its start is not part of it")
        #expect(try await stage.broker.deadJobs() == [])
        #expect(try await stage.refusal { try await stage.broker.cancelDeadJob(job.id) }.code == .messageUnknown)
        let ids = try await stage.dead().map(\.id)
        let refusal = try await stage.refusal {
            _ = try await stage.broker.redrive(name, DeadSelection(ids: ids), rate: 1)
        }
        #expect(refusal.code == .settingInvalid)
    }

    static func alarm(_ stage: Stage) async throws {
        try await stage.make { $0.delivery.deadMax = 1 }
        try await stage.publish("1", "2", "3")
        try await stage.settle(try await stage.taken(), .reject(reason: "no"))
        #expect(try await stage.numbers().figures["dead_alarm"] == 0)
        try await stage.settle(try await stage.taken(), .reject(reason: "no"))
        try await stage.middle()
        try await stage.pass(seconds: 1)
        #expect(try await stage.numbers().figures["dead_alarm"] == 1)
        #expect(try await stage.broker.status().figures["alarms"] == 1)
        #expect(try await stage.dead().count == 2)
        #expect(try await stage.rest() == ["3"])
        #expect(try await stage.broker.purge(stage.name("t")) == 2)
        #expect(try await stage.numbers().figures["dead_alarm"] == 0)
        #expect(try await stage.broker.status().figures["alarms"] == 0)
    }
}
