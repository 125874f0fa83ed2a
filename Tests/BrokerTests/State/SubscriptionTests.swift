import BrokerProtocol
import Testing

@testable import Broker

@Suite("Subscriptions") struct SubscriptionTests {
    @Test("Every subscription gets every message once; its consumers share the work")
    func fanOut() {
        let broker = StateHarness()
        broker.subscribe("t@a", 1, consumer: 1)
        broker.subscribe("t@b", 1, consumer: 2)
        broker.subscribe("t@b", 2, consumer: 1)
        for _ in 0..<4 { broker.publish("t") }
        #expect(broker.deliveredIDs("t@a") == (1...4).map { id($0) })
        #expect(broker.deliveredIDs("t@b") == (1...4).map { id($0) })
        let second = broker.delivered.filter { $0.notice.subscription.name == "b" }.map(\.session.rawValue)
        #expect(second == [1, 2, 1, 2])
    }

    @Test("Ready messages come by priority, then in publish order")
    func order() {
        let broker = StateHarness()
        for priority in [4, 0, 9, 4, 9, 0] as [UInt8] { broker.publish(broker.message("t", priority: priority)) }
        broker.subscribe("t")
        #expect(broker.deliveredIDs("t") == [3, 5, 1, 4, 2, 6].map { id($0) })
    }

    @Test("A topic without a named subscription is a plain queue with the one subscription default")
    func plainQueue() {
        let broker = StateHarness()
        broker.publish("t")
        #expect(broker.state.topicStatuses()[0].subscriptions.map(\.name) == [broker.name("t")])
        #expect(broker.pop("t")?.id == id(1))
    }

    @Test("The first named subscription takes over what waits, ready or delayed")
    func takeOver() throws {
        let broker = StateHarness()
        broker.publish("t")
        broker.publish(broker.message("t", deliverAt: broker.later(1_000)))
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        #expect(broker.state.topicStatuses()[0].subscriptions.map(\.name) == [broker.name("t@a")])
        try broker.restart()
        broker.subscribe("t@a")
        broker.pass(milliseconds: 1_000)
        #expect(broker.deliveredIDs("t@a") == [id(1), id(2)])
        #expect(broker.state.disagreements() == [])
    }

    @Test("What somebody asked for as default stays beside named ones")
    func askedDefault() {
        let broker = StateHarness()
        broker.publish("t")
        #expect(broker.pop("t")?.id == id(1))
        broker.subscribe("t@a")
        #expect(Set(broker.state.topicStatuses()[0].subscriptions.map(\.name.name)) == ["default", "a"])
        broker.publish("t")
        #expect(broker.pop("t")?.id == id(2))
        #expect(broker.deliveredIDs("t@a") == [id(1), id(2)])
    }

    @Test("A later default exists only when it is asked for by name, and starts where it is told")
    func laterDefault() {
        let broker = StateHarness()
        broker.subscribe("t@a", credit: 0)
        broker.publish("t")
        #expect(broker.state.topicStatuses()[0].subscriptions.count == 1)
        broker.subscribe("t", consumer: 2, start: .now)
        broker.publish("t")
        #expect(broker.deliveredIDs("t") == [id(2)])
    }

    @Test(
        "A second subscription starts at the beginning, now, a time or an id",
        arguments: [
            (StartPosition.beginning, [1, 2, 3, 4, 5, 6]), (.now, []), (.message(MessageID(rawValue: 4)), [4, 5, 6]),
            (.message(MessageID(rawValue: 99)), []), (.time(WallTime(milliseconds: 1_700_000_003_000)), [4, 5, 6]),
            (.time(WallTime(milliseconds: 1_800_000_000_000)), []),
            (.time(WallTime(milliseconds: 0)), [1, 2, 3, 4, 5, 6]),
        ])
    func starts(start: StartPosition, expected: [UInt64]) throws {
        let broker = StateHarness()
        broker.subscribe("t@a", credit: 0)
        for number in 0..<6 {
            broker.publish(broker.message("t", priority: UInt8(number % 2) * 5))
            broker.pass(milliseconds: 1_000)
        }
        broker.send(.subscriptionCreate(broker.name("t@b"), start))
        #expect(broker.state.disagreements() == [])
        try broker.restart()
        broker.subscribe("t@b", credit: 10)
        #expect(Set(broker.deliveredIDs("t@b")) == Set(expected.map { id($0) }))
        broker.publish("t")
        #expect(broker.deliveredIDs("t@b").last == id(7))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A start from the beginning includes what others hold leased, delayed or dead, and not what all have settled")
    func beginningAmongMoved() throws {
        let broker = StateHarness()
        broker.subscribe("t@a", credit: 4)
        for _ in 0..<5 { broker.publish("t") }
        broker.publish(broker.message("t", deliverAt: broker.later(60_000)))
        let notices = broker.delivered.map(\.notice)
        broker.settle(notices[0], .ack)
        broker.settle(notices[1], .reject(reason: "x"))
        broker.settle(notices[2], .fail(error: "x", afterMilliseconds: 60_000))
        try broker.restart()
        broker.send(.subscriptionCreate(broker.name("t@b"), .beginning))
        broker.subscribe("t@b", credit: 10)
        #expect(broker.deliveredIDs("t@b") == [2, 3, 4, 5].map { id($0) })
        #expect(broker.status("t@b").delayed == 1)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A start at a time begins with the first message of that time, also when the clock jumped back after it")
    func startAfterJump() throws {
        let broker = StateHarness()
        broker.subscribe("t@a", credit: 0)
        let noon = broker.now.wall
        broker.publish("t")
        broker.move(monotonic: 1, wall: -3_600_000)
        broker.publish(broker.message("t", priority: 9))
        broker.send(.subscriptionCreate(broker.name("t@b"), .time(noon)))
        #expect(broker.status("t@b").ready == 2)
        try broker.restart()
        #expect(broker.status("t@b").ready == 2)
    }

    @Test("A first named subscription that starts later leaves out what lies before")
    func takeOverFrom() throws {
        let broker = StateHarness()
        for _ in 0..<4 { broker.publish("t") }
        broker.send(.subscriptionCreate(broker.name("t@a"), .message(id(3))))
        #expect(broker.status("t@a").ready == 2)
        #expect(broker.state.messages.count == 2)
        #expect(broker.state.disagreements() == [])
        try broker.restart()
        broker.subscribe("t@a")
        #expect(broker.deliveredIDs("t@a") == [id(3), id(4)])
    }

    @Test("A topic whose last subscription is deleted is a plain queue again")
    func lastDeleted() throws {
        let broker = StateHarness()
        broker.subscribe("t@a", credit: 0)
        broker.publish("t")
        #expect(broker.send(.subscriptionDelete(broker.name("t@a"))) == .done)
        #expect(broker.state.messages.count == 0)
        broker.publish("t")
        try broker.restart()
        #expect(broker.pop("t")?.id == id(2))
    }

    @Test("Deleting a topic takes its messages, and a new one of that name starts empty")
    func topicDeleted() throws {
        let broker = StateHarness()
        broker.subscribe("t@a", credit: 1)
        for _ in 0..<3 { broker.publish("t") }
        broker.publish(broker.message("t", deliverAt: broker.later(60_000)))
        #expect(broker.send(.topicDelete(broker.topic("t"))) == .done)
        #expect(broker.settle(broker.last, .ack) == .leaseLost)
        #expect(broker.state.messages.count == 0)
        #expect(broker.state.delayedCount == 0)
        #expect(broker.state.disagreements() == [])
        #expect(code(broker.send(.topicDelete(broker.topic("t")))) == .topicUnknown)
        broker.publish("t")
        try broker.restart()
        #expect(broker.pop("t")?.id == id(5))
        broker.pass(milliseconds: 60_000)
        #expect(broker.pop("t") == nil)
    }

    @Test("Deleting one of two subscriptions frees what only it still held")
    func oneDeleted() {
        let broker = StateHarness()
        broker.subscribe("t@a", consumer: 1, credit: 10)
        broker.subscribe("t@b", consumer: 2, credit: 0)
        for _ in 0..<3 { broker.publish("t") }
        for delivery in broker.delivered { broker.settle(delivery.notice, .ack) }
        #expect(broker.state.messages.count == 3)
        broker.send(.subscriptionDelete(broker.name("t@b")))
        #expect(broker.state.messages.count == 0)
        #expect(broker.state.topicsByName[broker.topic("t")]!.lanes.allSatisfy { $0.count == 0 })
    }

    @Test("Credit bounds the unsettled deliveries of a consumer, and zero pauses it")
    func credit() {
        let broker = StateHarness()
        broker.subscribe("t", credit: 2)
        for _ in 0..<5 { broker.publish("t") }
        #expect(broker.delivered.count == 2)
        broker.settle(broker.last, .ack)
        #expect(broker.delivered.count == 3)
        broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 0))
        broker.settle(broker.last, .ack)
        #expect(broker.delivered.count == 3)
        broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 3))
        #expect(broker.delivered.count == 5)
        #expect(code(broker.send(.credit(consumer: ConsumerID(rawValue: 9), credit: 3))) == .consumerUnknown)
    }

    @Test("Settings, names and origins survive restart and recycling")
    func definitions() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 32 << 10))
        var own = DeliverySettings()
        own.attemptsMax = 7
        broker.configure("t") { $0.messagesMax = 500 }
        broker.subscribe("t@a", credit: 100)
        broker.send(.subscriptionSet(broker.name("t@a"), own))
        broker.publish("plain")
        for _ in 0..<100 {
            broker.publish(broker.message("t", body: [UInt8](repeating: 0, count: 2_000)))
            broker.settle(broker.last, .ack)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 2)
        try broker.restart()
        #expect(broker.status("t@a").settings == own)
        #expect(broker.state.topicsByName[broker.topic("t")]?.settings.messagesMax == 500)
        broker.send(.subscriptionCreate(broker.name("plain@b"), .beginning))
        #expect(broker.status("plain@b").ready == 1)
    }

    @Test("A name with a wildcard is no topic")
    func wildcard() {
        let broker = StateHarness()
        let name = broker.name("order.*@audit")
        #expect(code(broker.send(.publish([broker.message("order.*")]))) == .nameInvalid)
        #expect(code(broker.send(.topicCreate(name.topic, TopicSettings()))) == .nameInvalid)
        #expect(broker.state.topics.isEmpty)
    }
}
