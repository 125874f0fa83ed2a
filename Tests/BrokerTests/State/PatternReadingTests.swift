import BrokerProtocol
import Testing

@testable import Broker

@Suite("Reading a pattern") struct PatternReadingTests {
    private func broker(_ topics: String..., count: Int = 0) -> StateHarness {
        let broker = StateHarness()
        broker.send(.subscriptionCreate(broker.name("a.*@audit"), .beginning))
        for topic in topics { _ = broker.publish(topic, count: count) }
        return broker
    }

    private func fetch(_ broker: StateHarness, _ count: UInt32, bytes: UInt32 = 0) -> [Notice] {
        var fetch = Fetch([broker.name("a.*@audit")], messagesMax: count)
        fetch.bytesMax = bytes
        broker.send(.fetch(fetch))
        guard case .answerFetch(_, let notices)? = broker.effects.last?.effect else { return [] }
        return notices
    }

    @Test("One credit is for all members; they come in turn, each in its order, under their own names")
    func turns() throws {
        let broker = broker("a.x", "a.y", "a.z", count: 3)
        broker.subscribe("a.*@audit", 2, credit: 1)
        for _ in 0..<8 { broker.settle(broker.last, .ack, 2) }
        #expect(broker.delivered.map(\.notice.id.rawValue) == [1, 4, 7, 2, 5, 8, 3, 6, 9])
        #expect(broker.last?.subscription == broker.name("a.z@audit"))
        try broker.restart()
        #expect(broker.state.disagreements() == [])
        #expect(broker.pop("a.*@audit")?.id == id(9))
        #expect(broker.pop("a.*@audit") == nil)
    }

    @Test("Consumers of a pattern share the work, and one of a member alone is served first")
    func share() {
        let broker = broker()
        broker.subscribe("a.*@audit", 2, credit: 10)
        broker.subscribe("a.*@audit", 3, credit: 10)
        broker.publish("a.x")
        broker.publish("a.y")
        #expect(Set(broker.delivered.map(\.session.rawValue)) == [2, 3])
        broker.subscribe("a.x@audit", 4, credit: 1)
        _ = broker.publish("a.x", count: 2)
        #expect(broker.delivered[2].session.rawValue == 4)
        #expect(broker.delivered[3].session.rawValue != 4)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A pop takes from any member at once, or waits for the first message of any, also of a new topic")
    func pops() {
        let broker = broker("a.x", "a.y", count: 1)
        #expect([broker.pop("a.*@audit"), broker.pop("a.*@audit")].map { $0?.id.rawValue } == [1, 2])
        let wait = broker.wait("other", "a.*@audit")
        #expect(broker.popped(wait) == nil)
        broker.publish("a.new")
        #expect(broker.popped(wait)?.subscription == broker.name("a.new@audit"))
        let timed = broker.wait("a.*@audit", timeout: 1_000)
        broker.pass(milliseconds: 1_000)
        #expect(broker.response(timed) == .popped(nil))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A pop in the same turn as the publish finds it")
    func sameTurn() {
        let broker = broker("a.x", count: 1)
        #expect(broker.pop("a.*@audit", acknowledges: true) != nil)
        broker.ask(.publish([broker.message("a.x")]))
        broker.ask(.pop([broker.name("a.*@audit")], timeoutMilliseconds: 0, acknowledges: true))
        broker.ask(.publish([broker.message("a.x")]))
        broker.ask(.pop([broker.name("a.*@audit")], timeoutMilliseconds: 0, acknowledges: true))
        let popped = broker.effects.filter { if case .answerPop = $0.effect { true } else { false } }
        #expect(popped.count == 3)
    }

    @Test("A fetch takes from all members in turn; what does not fit stays for the next one, and every attempt counts")
    func fetches() throws {
        let broker = broker("a.x", "a.y", count: 2)
        broker.publish(broker.message("a.y", body: [UInt8](repeating: 1, count: 500)))
        #expect(fetch(broker, 3).map(\.id.rawValue) == [1, 3, 2])
        #expect(fetch(broker, 10, bytes: 100).map(\.id.rawValue) == [4])
        #expect(fetch(broker, 10, bytes: 100).map(\.id.rawValue) == [5])
        #expect(fetch(broker, 10).isEmpty)
        try broker.restart()
        #expect(fetch(broker, 10).map(\.attempt) == [2, 2, 2, 2, 2])
    }

    @Test("Failures, deaths, redrives and purges are each member's; the pattern's requests reach all of them")
    func deaths() throws {
        let broker = broker("a.x", "a.y", count: 2)
        broker.subscribe("a.*@audit", 2, credit: 10)
        for delivery in broker.delivered { broker.settle(delivery.notice, .reject(reason: "bad"), 2) }
        #expect(broker.dead("a.*@audit").map(\.id.rawValue) == [1, 2, 3, 4])
        #expect(broker.dead("a.y@audit").map(\.id.rawValue) == [3, 4])
        try broker.restart()
        #expect(broker.dead("a.*@audit").map(\.subscription.topic.text) == ["a.x", "a.x", "a.y", "a.y"])
        let pattern = broker.name("a.*@audit")
        #expect(code(broker.send(.deadRedrive(pattern, [id(9)]))) == .messageUnknown)
        #expect(broker.send(.deadRedrive(pattern, [id(4), id(1)])) == .count(2))
        #expect(broker.dead("a.*@audit").map(\.id.rawValue) == [2, 3])
        var first = DeadSelection()
        first.limit = 1
        #expect(broker.send(.deadPurge(pattern, first)) == .count(1))
        #expect(broker.send(.deadPurge(pattern, DeadSelection())) == .count(1))
        #expect(broker.dead("a.*@audit").isEmpty)
        #expect(code(broker.send(.deadRedrive(pattern, DeadSelection(), rate: 5))) == .unsupported)
        try broker.restart()
        #expect([broker.pop("a.*@audit"), broker.pop("a.*@audit")].map { $0?.id.rawValue } == [1, 4])
        #expect(broker.state.disagreements() == [])
    }

    @Test("A member that may not deliver lets the others go, and comes back to the turn when it may")
    func gates() {
        let broker = broker("a.x", "a.y", count: 2)
        broker.send(.pause(.subscription(broker.name("a.x@audit")), .delivery, until: nil))
        broker.subscribe("a.*@audit", 2, credit: 10)
        #expect(broker.delivered.map(\.notice.id.rawValue) == [3, 4])
        broker.send(.resume(.subscription(broker.name("a.x@audit")), .delivery))
        #expect(broker.delivered.map(\.notice.id.rawValue) == [3, 4, 1, 2])
        var settings = DeliverySettings()
        settings.inFlightMax = 1
        broker.send(.subscriptionSet(broker.name("a.*@audit"), settings))
        _ = broker.publish("a.z", count: 2)
        #expect(broker.delivered.count == 5)
        broker.settle(broker.last, .ack, 2)
        #expect(broker.delivered.count == 6)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A pause of the pattern holds all members, over a restart, and ends by itself")
    func pause() throws {
        let broker = broker("a.x", "a.y", count: 1)
        broker.send(.pause(.subscription(broker.name("a.*@audit")), .delivery, until: broker.later(60_000)))
        #expect(broker.pop("a.x@audit") == nil)
        try broker.restart()
        broker.publish("a.z")
        #expect(broker.pop("a.*@audit") == nil)
        broker.subscribe("a.*@audit", 2, credit: 10)
        broker.pass(milliseconds: 60_000)
        #expect(Set(broker.delivered.map(\.notice.id.rawValue)) == [1, 2, 3])
        try broker.restart()
        #expect(broker.pop("a.*@audit") != nil)
    }

    @Test("Ordering keys stay with one consumer of the pattern, topic by topic, and go on when it ends")
    func sticky() {
        let broker = broker()
        var settings = DeliverySettings()
        settings.isSticky = true
        broker.send(.subscriptionSet(broker.name("a.*@audit"), settings))
        func publish(_ topic: String, _ key: String) {
            var message = broker.message(topic)
            message.orderingKey = key
            broker.publish(message)
        }
        broker.subscribe("a.*@audit", 2, credit: 1)
        publish("a.x", "k")
        broker.subscribe("a.*@audit", 3, credit: 5)
        publish("a.y", "busy")
        let second = broker.delivered.last
        #expect(second?.session.rawValue == 3)
        broker.settle(broker.delivered[0].notice, .ack, 2)
        publish("a.y", "more")
        publish("a.x", "k")
        // The owner of k holds `more` or nothing; k waits for it and goes nowhere else.
        for delivery in broker.delivered where delivery.notice.subscription.topic.text == "a.x" {
            #expect(delivery.session.rawValue == 2)
        }
        let held = broker.delivered.last { $0.session.rawValue == 2 }
        if held?.notice.subscription.topic.text == "a.y" { broker.settle(held?.notice, .ack, 2) }
        #expect(broker.delivered.last?.notice.subscription.topic.text == "a.x")
        #expect(broker.delivered.last?.session.rawValue == 2)
        publish("a.x", "k")
        broker.close(2)
        broker.pass(milliseconds: 60_000)
        #expect(broker.delivered.last?.notice.subscription.topic.text == "a.x")
        #expect(broker.delivered.last?.session.rawValue == 3)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A rewind of the pattern rewinds all members, over a restart in the middle, and tells the sum")
    func rewinds() throws {
        let broker = broker()
        for topic in ["a.x", "a.y"] {
            broker.configure(topic) { $0.retainMilliseconds = 3_600_000 }
            _ = broker.publish(topic, count: 2)
        }
        for _ in 0..<3 { #expect(broker.pop("a.*@audit", acknowledges: true) != nil) }
        #expect(broker.send(.rewind(broker.name("a.*@audit"), .message(id(2)))) == .count(2))
        try broker.restart()
        #expect((0..<4).map { _ in broker.pop("a.*@audit")?.id.rawValue } == [2, 3, 4, nil])
        #expect(broker.ask(.rewind(broker.name("a.*@audit"), .beginning)) == nil)
        try broker.restart()
        broker.turn()
        #expect(broker.state.readings.isEmpty)
        #expect((0..<5).compactMap { _ in broker.pop("a.*@audit")?.id.rawValue }.sorted() == [1, 2, 3, 4])
        #expect(broker.state.disagreements() == [])
    }

    @Test("The list shows a pattern behind the topics, with the sums of its members")
    func status() {
        let broker = broker("a.x", "a.y", count: 2)
        broker.settle(broker.pop("a.*@audit"), .reject(reason: "bad"))
        #expect(broker.pop("a.*@audit") != nil)
        guard case .topics(let topics)? = broker.send(.topicList) else {
            Issue.record("no list")
            return
        }
        #expect(topics.map(\.name.text) == ["a.x", "a.y", "a.*"])
        let sum = topics[2].subscriptions[0]
        #expect(sum.name == broker.name("a.*@audit"))
        #expect([sum.ready, sum.leased, sum.dead, sum.delivered] == [2, 1, 1, 2])
        #expect(sum.figures.contains(Figure("members", 2)))
    }
}
