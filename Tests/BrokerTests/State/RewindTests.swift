import BrokerProtocol
import Testing

@testable import Broker

@Suite("Retained messages and rewinding") struct RewindTests {
    private func broker(
        retain: Int64 = 0, bytes: UInt64 = 0, segmentBytes: UInt64 = 1 << 20, _ names: String...
    ) -> StateHarness {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: segmentBytes))
        broker.configure("t") {
            $0.retainMilliseconds = retain
            $0.retainBytes = bytes
        }
        for name in names { broker.send(.subscriptionCreate(broker.name(name), .beginning)) }
        return broker
    }

    private func retained(_ broker: StateHarness) -> [UInt64] {
        (broker.state.topicsByName[broker.topic("t")]?.retained.ids.from()).map { $0.map(\.rawValue) } ?? []
    }

    private func owed(_ broker: StateHarness, _ name: String) -> [UInt64] {
        broker.state.subscription(named: broker.name(name))?.owed().map(\.rawValue) ?? []
    }

    private func rewind(_ broker: StateHarness, _ name: String, _ start: StartPosition = .beginning) -> Response? {
        broker.send(.rewind(broker.name(name), start))
    }

    private func take(_ broker: StateHarness, _ name: String, _ count: Int) {
        for _ in 0..<count { #expect(broker.pop(name, acknowledges: true) != nil) }
    }

    @Test("An acknowledged message stays, is not open, and is the same after a restart")
    func stays() throws {
        let broker = broker(retain: 60_000, "t@a")
        broker.configure("t") { $0.messagesMax = 3 }
        _ = broker.publish("t", count: 3)
        take(broker, "t@a", 3)
        _ = broker.publish("t", count: 3)
        func check() {
            #expect(retained(broker) == [1, 2, 3])
            #expect(owed(broker, "t@a") == [4, 5, 6])
            #expect(broker.state.owedCount == 3)
            #expect(broker.state.disagreements() == [])
        }
        check()
        try broker.restart()
        check()
        let topic = broker.state.topicStatuses()[0]
        #expect(topic.messages == 3)
        #expect(topic.figures.contains(Figure("retained", 3)))
    }

    @Test("A rewound subscription owes again what it does not owe, with attempts from 0", arguments: [0, 1, 2, 3])
    func rewinds(kind: Int) throws {
        let broker = broker(retain: 60_000, "t@a", "t@b")
        _ = broker.publish("t", count: 2)
        broker.pass(milliseconds: 1_000)
        let noon = broker.now.wall
        _ = broker.publish("t", count: 2)
        take(broker, "t@a", 3)
        take(broker, "t@b", 4)
        let starts: [(StartPosition, [UInt64])] = [
            (.beginning, [1, 2, 3, 4]), (.now, [4]), (.time(noon), [3, 4]), (.message(id(2)), [2, 3, 4]),
        ]
        let (start, expected) = starts[kind]
        #expect(rewind(broker, "t@a", start) == .count(UInt64(expected.count - 1)))
        #expect(owed(broker, "t@a") == expected)
        #expect(owed(broker, "t@b") == [])
        #expect(broker.state.disagreements() == [])
        try broker.restart()
        #expect(owed(broker, "t@a") == expected)
        let notice = broker.pop("t@a")
        #expect(notice?.id == id(expected[0]))
        #expect(notice?.attempt == 1)
        broker.settle(notice, .ack)
        #expect(rewind(broker, "t@a", .message(id(4))) == .count(expected[0] == 4 ? 1 : 0))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A new subscription finds acknowledged messages, a filtered one those that it wants")
    func newSubscription() throws {
        let broker = broker(retain: 60_000, "t@a")
        for region in ["eu", "us", "eu"] {
            var message = broker.message("t")
            message.headers = [Header("region", region)]
            broker.publish(message)
        }
        take(broker, "t@a", 2)
        broker.send(.subscriptionCreate(broker.name("t@b"), .beginning))
        broker.send(.subscriptionCreate(broker.name("t@now"), .now))
        broker.send(.subscriptionCreate(broker.name("t@eu"), .beginning, filter: [Header("region", "eu")]))
        func check() {
            #expect(owed(broker, "t@b") == [1, 2, 3])
            #expect(owed(broker, "t@now") == [])
            #expect(owed(broker, "t@eu") == [1, 3])
            #expect(retained(broker) == [])
            #expect(broker.state.disagreements() == [])
        }
        check()
        try broker.restart()
        check()
        broker.subscribe("t@b")
        #expect(broker.deliveredIDs("t@b") == [1, 2, 3].map { id($0) })
    }

    @Test("The first named subscription takes over a plain queue with what it has acknowledged")
    func takesOver() throws {
        let broker = broker(retain: 60_000)
        _ = broker.publish("t", count: 3)
        broker.state.topicsByName[broker.topic("t")]?.subscriptions[0].origin = .implicit
        try broker.state.record([.acknowledged(SubscriptionID(rawValue: 1), [id(1)])])
        #expect(retained(broker) == [1])
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        #expect(owed(broker, "t@a") == [1, 2, 3])
        #expect(broker.state.disagreements() == [])
    }

    @Test("When its time is over, a message goes, the oldest first, and stays gone after a restart")
    func time() throws {
        let broker = broker(retain: 10_000, "t@a")
        _ = broker.publish("t", count: 2)
        broker.pass(milliseconds: 4_000)
        broker.publish("t")
        take(broker, "t@a", 3)
        broker.pass(milliseconds: 5_999)
        #expect(retained(broker) == [1, 2, 3])
        #expect(broker.state.nextDeadline(now: broker.now) == 1)
        broker.pass(milliseconds: 1)
        #expect(retained(broker) == [3])
        try broker.restart()
        #expect(retained(broker) == [3])
        #expect(rewind(broker, "t@a") == .count(1))
        broker.pass(milliseconds: 10_000)
        #expect(owed(broker, "t@a") == [3])
        take(broker, "t@a", 1)
        broker.pass(milliseconds: 1)
        #expect(retained(broker) == [])
        #expect(broker.state.messages.count == 0)
        #expect(broker.state.disagreements() == [])
    }

    @Test("Bytes bound what is kept; the youngest stay, and what a slow reader acknowledges late does not come back")
    func bytes() throws {
        let broker = broker(bytes: 100, "t@a", "t@slow")
        for _ in 0..<5 { broker.publish(broker.message("t", body: [UInt8](repeating: 1, count: 40))) }
        take(broker, "t@a", 5)
        try broker.state.record([
            .acknowledged(broker.state.subscription(named: broker.name("t@slow"))!.id, [2, 3, 4, 5].map { id($0) })
        ])
        broker.pass(milliseconds: 0)
        #expect(retained(broker) == [4, 5])
        take(broker, "t@slow", 1)
        broker.pass(milliseconds: 0)
        #expect(retained(broker) == [4, 5])
        try broker.restart()
        #expect(retained(broker) == [4, 5])
        #expect(broker.state.disagreements() == [])
    }

    @Test("Very many go in steps, and a topic that keeps no more lets all of them go")
    func steps() throws {
        let broker = broker(retain: 60_000, "t@a")
        broker.ask(.publish([OutgoingMessage](repeating: broker.message("t"), count: 2_500)))
        try broker.state.record([.acknowledged(SubscriptionID(rawValue: 1), (1...2_500).map { id($0) })])
        #expect(retained(broker).count == 2_500)
        broker.configure("t") { $0.retainMilliseconds = 0 }
        broker.pass(milliseconds: 0)
        #expect(retained(broker).count == 1_500)
        #expect(broker.state.nextDeadline(now: broker.now) == 0)
        try broker.restart()
        broker.pass(milliseconds: 0)
        broker.pass(milliseconds: 0)
        #expect(retained(broker).isEmpty)
        #expect(broker.state.disagreements() == [])
    }

    @Test("What was purged or dropped is not kept; what its subscription leaves behind is")
    func removals() throws {
        let broker = broker(retain: 60_000, "t@a")
        _ = broker.publish("t", count: 3)
        broker.settle(broker.pop("t@a"), .reject(reason: "x"))
        broker.send(.deadPurge(broker.name("t@a"), []))
        #expect(retained(broker) == [])
        broker.send(.subscriptionDelete(broker.name("t@a")))
        #expect(retained(broker) == [2, 3])
        broker.send(.topicDelete(broker.topic("t")))
        #expect(broker.state.messages.count == 0)
        #expect(broker.state.segments.totalBytes == 0)
        #expect(broker.state.disagreements() == [])
        try broker.restart()
        #expect(broker.state.messages.count == 0)
    }

    @Test("Retained messages move on in the log, with the front of what was forgotten, and can be read afterwards")
    func restated() throws {
        let broker = broker(retain: 3_600_000, segmentBytes: 64 << 10, "t@a", "t@b")
        _ = broker.publish("t", count: 3)
        take(broker, "t@a", 3)
        take(broker, "t@b", 2)
        broker.send(.subscriptionCreate(broker.name("u@x"), .beginning))
        for _ in 0..<600 {
            broker.publish(broker.message("u", body: [UInt8](repeating: 1, count: 2_000)))
            broker.pop("u@x", acknowledges: true)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 1)
        func check() throws {
            #expect(retained(broker) == [1, 2])
            #expect(owed(broker, "t@b") == [3])
            #expect(broker.state.disagreements() == [])
        }
        try check()
        try broker.restart()
        try check()
        #expect(rewind(broker, "t@a") == .count(3))
        #expect(owed(broker, "t@a") == [1, 2, 3])
        let notice = try #require(broker.pop("t@a"))
        #expect(try broker.state.readMessage(notice.address).id == id(1))
    }

    @Test("A rewound message whose end has passed is over at once, as any other")
    func expired() {
        let broker = broker(retain: 60_000, "t@a")
        broker.publish(broker.message("t", expiresAt: broker.later(1_000)))
        take(broker, "t@a", 1)
        broker.pass(milliseconds: 2_000)
        #expect(rewind(broker, "t@a") == .count(1))
        broker.pass(milliseconds: 0)
        #expect(broker.dead("t@a").map(\.id) == [id(1)])
        broker.send(.deadPurge(broker.name("t@a"), []))
        #expect(broker.state.expiry.liveCount == 0)
        #expect(broker.state.disagreements() == [])
    }

    @Test(
        "What is leased, delayed or dead stays as it is; the rest comes again in its old place",
        arguments: [false, true])
    func rewindsInTheMiddle(restarts: Bool) throws {
        let broker = broker(retain: 60_000, "t@a")
        _ = broker.publish("t", count: 6)
        take(broker, "t@a", 1)
        let leased = broker.pop("t@a")
        broker.settle(broker.pop("t@a"), .fail(error: "later", afterMilliseconds: 5_000))
        broker.settle(broker.pop("t@a"), .reject(reason: "bad"))
        take(broker, "t@a", 1)
        #expect(rewind(broker, "t@a") == .count(2))
        if restarts { try broker.restart() }
        #expect(broker.dead("t@a").map(\.id) == [id(4)])
        let status = broker.status("t@a")
        #expect([status.ready, status.delayed, status.dead] == [restarts ? 4 : 3, 1, 1])
        #expect(broker.pop("t@a", acknowledges: true)?.id == id(1))
        if !restarts { #expect(broker.settle(leased, .ack) == nil) }
        let next = broker.pop("t@a")
        #expect(next?.id == id(restarts ? 2 : 5))
        #expect(next?.attempt == (restarts ? 2 : 1))
        broker.pass(milliseconds: 5_000)
        #expect(broker.pop("t@a")?.attempt == 2)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A rewound message waits for its ordering key, and goes before those behind it")
    func rewoundKeys() throws {
        let broker = broker(retain: 60_000, "t@a")
        for _ in 0..<3 {
            var message = broker.message("t")
            message.orderingKey = "k"
            broker.publish(message)
        }
        take(broker, "t@a", 1)
        let second = broker.pop("t@a")
        #expect(rewind(broker, "t@a") == .count(1))
        #expect(broker.pop("t@a") == nil)
        #expect(broker.settle(second, .ack) == nil)
        #expect((0..<2).map { _ in broker.pop("t@a", acknowledges: true)?.id } == [id(1), id(3)])
        #expect(broker.state.disagreements() == [])
    }

    @Test("A message that was cancelled or deleted is not kept; one that was rescheduled comes again at once")
    func cancelled() throws {
        let broker = broker(retain: 60_000, "t@a")
        _ = broker.publish("t", count: 3)
        #expect(broker.send(.cancel([id(1)])) == .settled([nil]))
        #expect(broker.send(.delete(broker.name("t@a"), [id(2)])) == .settled([nil]))
        #expect(broker.send(.reschedule([id(3)], broker.later(1_000))) == .settled([nil]))
        broker.pass(milliseconds: 1_000)
        take(broker, "t@a", 1)
        #expect(retained(broker) == [3])
        try broker.restart()
        #expect(rewind(broker, "t@a") == .count(1))
        broker.pass(milliseconds: 0)
        #expect(broker.pop("t@a")?.id == id(3))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A long rewind goes in pieces, over a restart, and counts all of them")
    func pieces() throws {
        let broker = broker(retain: 3_600_000, "t@a")
        broker.ask(.publish([OutgoingMessage](repeating: broker.message("t"), count: 25_000)))
        for start in stride(from: 1, through: 25_000, by: 5_000) {
            let ids = (start..<start + 5_000).map { id(UInt64($0)) }
            try broker.state.record([.acknowledged(SubscriptionID(rawValue: 1), ids)])
        }
        #expect(retained(broker).count == 25_000)
        #expect(broker.ask(.rewind(broker.name("t@a"), .beginning)) == nil)
        #expect(retained(broker).count == 15_000)
        #expect(code(rewind(broker, "t@a")) == .unsupported)
        broker.turn()
        #expect(broker.effects.contains { if case .respond(_, .count(25_000)) = $0.effect { true } else { false } })
        #expect(owed(broker, "t@a").count == 25_000)
        try broker.restart()
        #expect(owed(broker, "t@a").count == 25_000)
    }

    @Test("A rewind of what is not there is refused, and settings out of range as well")
    func refusals() {
        let broker = broker(retain: 1_000, "t@a")
        #expect(code(rewind(broker, "t@b")) == .subscriptionUnknown)
        #expect(code(rewind(broker, "u@b")) == .topicUnknown)
        #expect(rewind(broker, "t@a") == .count(0))
        var settings = TopicSettings()
        settings.retainMilliseconds = 3_651 * 86_400_000
        #expect(code(broker.send(.topicSet(broker.topic("t"), settings))) == .settingInvalid)
    }
}
