import BrokerProtocol
import Testing

@testable import Broker

@Suite("Patterns and their members") struct PatternTests {
    private func names(_ broker: StateHarness, _ topic: String) -> [String] {
        broker.state.topicsByName[broker.topic(topic)]?.subscriptions.map(\.name.name) ?? []
    }

    private func owed(_ broker: StateHarness, _ name: String) -> [UInt64] {
        broker.state.subscription(named: broker.name(name))?.owed().map(\.rawValue) ?? []
    }

    @discardableResult
    private func create(
        _ broker: StateHarness, _ name: String, _ start: StartPosition = .beginning, filter: [Header] = []
    ) -> Response? {
        broker.send(.subscriptionCreate(broker.name(name), start, filter: filter))
    }

    private func check(_ broker: StateHarness, restarting: Bool = true, _ expectations: () -> Void) throws {
        expectations()
        #expect(broker.state.disagreements() == [])
        if !restarting { return }
        try broker.restart()
        expectations()
        #expect(broker.state.disagreements() == [])
    }

    @Test("A pattern has a member in each topic that matches, now and later, and in no other")
    func members() throws {
        let broker = StateHarness()
        for topic in ["order.created", "order.paid.late", "user.created"] {
            broker.publish(topic)
            broker.send(.subscriptionCreate(broker.name("\(topic)@own"), .beginning))
        }
        #expect(create(broker, "order.*@audit") == .done)
        broker.publish("order.paid")
        broker.publish("user.paid")
        try check(broker) {
            #expect(names(broker, "order.created") == ["own", "audit"])
            #expect(names(broker, "order.paid.late") == ["own"])
            #expect(names(broker, "user.created") == ["own"])
            #expect(names(broker, "order.paid") == ["audit"])
            #expect(names(broker, "user.paid") == ["default"])
            #expect(owed(broker, "order.created@audit") == [1])
            #expect(owed(broker, "order.paid@audit") == [4])
        }
    }

    @Test("A last > stands for one part or more")
    func tail() throws {
        let broker = StateHarness()
        create(broker, "order.>@audit")
        for topic in ["order", "order.created", "order.paid.late"] { broker.publish(topic) }
        try check(broker) {
            #expect(names(broker, "order") == ["default"])
            #expect(names(broker, "order.created") == ["audit"])
            #expect(names(broker, "order.paid.late") == ["audit"])
        }
    }

    @Test("The start is that of the topics that are there; a later topic is read from its beginning")
    func start() throws {
        let broker = StateHarness()
        for topic in ["a.x", "a.y"] {
            broker.send(.subscriptionCreate(broker.name("\(topic)@own"), .beginning))
            broker.publish(topic)
        }
        broker.pass(milliseconds: 1_000)
        let noon = broker.now.wall
        broker.publish("a.x")
        create(broker, "a.*@now", .now)
        create(broker, "a.*@noon", .time(noon))
        create(broker, "a.*@second", .message(id(2)))
        broker.publish("a.z")
        try check(broker) {
            #expect(["a.x@now", "a.y@now", "a.z@now"].map { owed(broker, $0) } == [[], [], [4]])
            #expect(["a.x@noon", "a.y@noon", "a.z@noon"].map { owed(broker, $0) } == [[3], [], [4]])
            #expect(["a.x@second", "a.y@second", "a.z@second"].map { owed(broker, $0) } == [[3], [2], [4]])
        }
    }

    @Test("A member takes over a default that nobody asked for, and stands beside one that somebody did")
    func takesOver() throws {
        let broker = StateHarness()
        broker.publish("a.x")
        broker.publish("a.y")
        #expect(broker.pop("a.y") != nil)
        create(broker, "a.*@audit")
        try check(broker) {
            #expect(names(broker, "a.x") == ["audit"])
            #expect(names(broker, "a.y") == ["default", "audit"])
            #expect(owed(broker, "a.x@audit") == [1])
            #expect(owed(broker, "a.y@audit") == [2])
        }
    }

    @Test("A filter holds for every member: what nobody wants is not kept, and the publish says so", arguments: [1, 2])
    func filter(order: Int) throws {
        let broker = StateHarness()
        func message(_ topic: String, _ region: String) -> OutgoingMessage {
            var message = broker.message(topic)
            message.headers = [Header("region", region)]
            return message
        }
        if order == 1 { create(broker, "a.*@eu", filter: [Header("region", "eu")]) }
        broker.publish(message("a.x", "eu"))
        let second = try broker.publish(message("a.x", "us"))[0].get()
        if order == 2 { create(broker, "a.*@eu", filter: [Header("region", "eu")]) }
        let third = try broker.publish(message("a.x", "us"))[0].get()
        #expect(second.isUnwanted == (order == 1))
        #expect(third.isUnwanted)
        try check(broker) {
            #expect(names(broker, "a.x") == ["eu"])
            #expect(owed(broker, "a.x@eu") == [1])
            #expect(broker.state.messages.count == 1)
        }
        #expect(code(create(broker, "a.*@eu")) == .subscriptionExists)
        #expect(create(broker, "a.*@eu", filter: [Header("region", "eu")]) == .done)
        #expect(try broker.publish(message("a.x", "us"))[0].get().isUnwanted)
        #expect(try !broker.publish(message("b", "us"))[0].get().isUnwanted)
    }

    @Test("Settings of the pattern hold for its members, unless one has its own; a topic's own come last")
    func settings() throws {
        let broker = StateHarness()
        create(broker, "a.*@audit")
        broker.publish("a.x")
        broker.publish("a.y")
        var settings = DeliverySettings()
        settings.attemptsMax = 1
        #expect(broker.send(.subscriptionSet(broker.name("a.*@audit"), settings)) == .done)
        var own = DeliverySettings()
        own.attemptsMax = 2
        #expect(broker.send(.subscriptionSet(broker.name("a.y@audit"), own)) == .done)
        broker.publish("a.z")
        try check(broker) {
            let attempts = ["a.x@audit", "a.y@audit", "a.z@audit"].map {
                broker.state.subscription(named: broker.name($0))?.settings.attemptsMax
            }
            #expect(attempts == [1, 2, 1])
        }
        #expect(broker.send(.subscriptionSet(broker.name("a.*@audit"), nil)) == .done)
        #expect(broker.state.subscription(named: broker.name("a.x@audit"))?.settings.attemptsMax == 10)
    }

    @Test("Deleting the pattern deletes its members and ends who reads them; a topic without a reader is a queue again")
    func deletes() throws {
        let broker = StateHarness()
        broker.send(.subscriptionCreate(broker.name("a.x@own"), .beginning))
        create(broker, "a.*@audit")
        broker.publish("a.x")
        broker.publish("a.y")
        broker.publish("a.z")
        broker.subscribe("a.*@audit", 2, credit: 10)
        let wait = broker.wait("a.*@audit", session: 3)
        #expect(broker.send(.subscriptionDelete(broker.name("a.*@audit"))) == .done)
        #expect(code(broker.response(wait)) == .subscriptionUnknown)
        #expect(broker.effects.contains { if case .endConsumer = $0.effect { true } else { false } })
        broker.publish("a.z")
        broker.publish("a.new")
        try check(broker) {
            #expect(names(broker, "a.x") == ["own"])
            #expect(names(broker, "a.y") == ["default"])
            #expect(names(broker, "a.z") == ["default"])
            #expect(names(broker, "a.new") == ["default"])
            #expect(owed(broker, "a.z") == [4])
            #expect(broker.state.patterns.all.isEmpty)
        }
        #expect(create(broker, "a.*@audit") == .done)
    }

    @Test("A topic goes with its members, and the pattern stays")
    func topicDeleted() throws {
        let broker = StateHarness()
        create(broker, "a.*@audit")
        broker.publish("a.x")
        broker.publish("a.y")
        broker.subscribe("a.*@audit", 2, credit: 10)
        #expect(broker.send(.topicDelete(broker.topic("a.x"))) == .done)
        broker.publish("a.x")
        broker.publish("a.y")
        #expect(Set(broker.delivered.map(\.notice.id)) == Set((1...4).map { id($0) }))
        try check(broker) {
            #expect(broker.state.patterns.all.first?.members.map(\.name.topic.text).sorted() == ["a.x", "a.y"])
            #expect(owed(broker, "a.x@audit") == [3])
        }
    }

    @Test("What cannot be: a nameless pattern, one that overlaps, a name that is taken, too many, a member alone")
    func refusals() throws {
        var limits = StateLimits()
        limits.patternsMax = 2
        limits.subscriptionsMax = 2
        let broker = StateHarness(limits: limits)
        #expect(code(create(broker, "a.*")) == .nameInvalid)
        #expect(code(create(broker, "a.*@default")) == .nameInvalid)
        #expect(code(broker.send(.publish([broker.message("a.*")]))) == .nameInvalid)
        #expect(code(broker.send(.topicCreate(broker.topic("a.>"), TopicSettings()))) == .nameInvalid)
        broker.send(.subscriptionCreate(broker.name("a.x@audit"), .beginning))
        #expect(code(create(broker, "a.*@audit")) == .subscriptionExists)
        #expect(broker.state.patterns.all.isEmpty)
        #expect(create(broker, "b.*@audit") == .done)
        #expect(code(create(broker, "b.>@audit")) == .subscriptionExists)
        #expect(code(create(broker, "*.x@audit")) == .subscriptionExists)
        #expect(create(broker, "b.>@more") == .done)
        #expect(code(create(broker, "c.*@audit")) == .subscriptionLimit)
        broker.publish("b.x")
        #expect(names(broker, "b.x") == ["audit", "more"])
        #expect(code(broker.send(.subscriptionDelete(broker.name("b.x@audit")))) == .unsupported)
        #expect(
            code(broker.send(.keyList(broker.name("b.*@audit"), after: "", limit: 1, parkedOnly: false)))
                == .unsupported)
        #expect(code(broker.send(.subscriptionDelete(broker.name("z.*@audit")))) == .topicUnknown)
        #expect(code(create(broker, "b.x@third")) == .subscriptionLimit)
        try check(broker) { #expect(broker.state.patterns.all.map(\.name.name) == ["audit", "more"]) }
    }

    @Test("A topic that is full of subscriptions refuses the pattern, and one with too many patterns is not made")
    func full() {
        var limits = StateLimits()
        limits.subscriptionsMax = 1
        let broker = StateHarness(limits: limits)
        broker.send(.subscriptionCreate(broker.name("a.x@own"), .beginning))
        #expect(code(create(broker, "a.*@audit")) == .subscriptionLimit)
        #expect(create(broker, "b.*@one") == .done)
        #expect(create(broker, "b.*@two") == .done)
        #expect(code(broker.send(.publish([broker.message("b.x")]))) == .subscriptionLimit)
        #expect(broker.state.topicsByName[broker.topic("b.x")] == nil)
    }

    @Test("Patterns and members stand in every segment, when those that made them are gone")
    func restated() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 64 << 10))
        create(broker, "a.*@audit", filter: [Header("k", "v")])
        broker.send(.pause(.subscription(broker.name("a.*@audit")), .delivery, until: nil))
        var settings = DeliverySettings()
        settings.attemptsMax = 3
        broker.send(.subscriptionSet(broker.name("a.*@audit"), settings))
        var kept = broker.message("a.x")
        kept.headers = [Header("k", "v")]
        broker.publish(kept)
        broker.send(.subscriptionCreate(broker.name("u@x"), .beginning))
        for _ in 0..<600 {
            broker.publish(broker.message("u", body: [UInt8](repeating: 1, count: 2_000)))
            broker.pop("u@x", acknowledges: true)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 1)
        try check(broker) {
            #expect(owed(broker, "a.x@audit") == [1])
            #expect(broker.pop("a.*@audit") == nil)
            #expect(broker.state.subscription(named: broker.name("a.x@audit"))?.settings.attemptsMax == 3)
        }
        broker.publish("a.y")
        #expect(names(broker, "a.y") == ["audit"])
        broker.send(.resume(.subscription(broker.name("a.*@audit")), .delivery))
        #expect(broker.pop("a.*@audit")?.subscription == broker.name("a.x@audit"))
    }

    @Test("A configuration may name a pattern; its settings are set again at each start")
    func configured() throws {
        let broker = StateHarness()
        var settings = DeliverySettings()
        settings.attemptsMax = 4
        for _ in 0..<2 {
            try broker.state.configure(topics: [], subscriptions: [(broker.name("a.*@audit"), settings)])
            broker.publish("a.x")
            try check(broker) {
                #expect(broker.state.subscription(named: broker.name("a.x@audit"))?.settings.attemptsMax == 4)
            }
        }
        #expect(broker.state.topics.count == 1)
    }
}
