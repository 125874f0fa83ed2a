import BrokerProtocol
import Testing

@testable import Broker

@Suite("Fair delivery") struct FairTests {
    private func configure(_ broker: StateHarness, weights: String = "", header: String = "tenant") {
        broker.configure("t") {
            $0.delivery.fairHeader = header
            $0.delivery.fairWeights = FairWeights(weights) ?? FairWeights()
            $0.delivery.priorityAgeingMilliseconds = 60_000
        }
    }

    private func broker(weights: String = "", segmentBytes: UInt64 = 1 << 20) -> StateHarness {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: segmentBytes))
        configure(broker, weights: weights)
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        return broker
    }

    private func message(
        _ broker: StateHarness, _ tenant: String?, priority: UInt8 = 4, key: String? = nil
    ) -> OutgoingMessage {
        var message = broker.message("t", priority: priority)
        if let tenant { message.headers = [Header("other", "x"), Header("tenant", tenant)] }
        message.orderingKey = key
        return message
    }

    private func publish(_ broker: StateHarness, _ tenants: String?...) {
        for tenant in tenants { broker.publish(message(broker, tenant)) }
    }

    private func popAll(_ broker: StateHarness) -> [UInt64] {
        var ids: [UInt64] = []
        while let notice = broker.pop("t@a", acknowledges: true) { ids.append(notice.id.rawValue) }
        #expect(broker.state.disagreements() == [])
        return ids
    }

    @Test("Values with ready messages are served in turn", arguments: [false, true])
    func turns(restarts: Bool) throws {
        let broker = broker()
        publish(broker, "x", "x", "x", "y", nil, "x", "y", "")
        if restarts { try broker.restart() }
        #expect(broker.state.disagreements() == [])
        #expect(broker.status("t@a").figures == [Figure("fair_values", 3)])
        #expect(popAll(broker) == [1, 4, 5, 2, 7, 8, 3, 6])
        #expect(broker.status("t@a").figures == [])
        #expect(broker.state.messages.count == 0)
    }

    @Test("A value gets as many messages in a row as its weight; a new weight holds at once")
    func weights() {
        let broker = broker(weights: "x=3")
        for _ in 0..<9 { publish(broker, "x") }
        publish(broker, "y", "y", "y", "y")
        #expect((0..<5).map { _ in broker.pop("t@a", acknowledges: true)?.id.rawValue } == [1, 2, 3, 10, 4])
        configure(broker, weights: "y=2,x=2")
        #expect(popAll(broker) == [5, 11, 12, 6, 7, 13, 8, 9])
    }

    @Test("Inside a value the order is by priority, with ageing, then in publish order")
    func inside() {
        let broker = broker()
        broker.publish(message(broker, "x", priority: 0))
        broker.pass(milliseconds: 60_001)
        for priority in [4, 9, 9, 9, 9] as [UInt8] { broker.publish(message(broker, "x", priority: priority)) }
        broker.publish(message(broker, "y", priority: 1))
        #expect(popAll(broker) == [3, 7, 4, 5, 1, 6, 2])
    }

    @Test("A tenant with 100,000 messages delays another's single one by its turn alone", .timeLimit(.minutes(2)))
    func backlog() throws {
        let broker = broker(weights: "big=5")
        let batch = (0..<1_000).map { _ in message(broker, "big") }
        for _ in 0..<100 { broker.ask(.publish(batch)) }
        for _ in 0..<7 { #expect(broker.pop("t@a", acknowledges: true) != nil) }
        publish(broker, "small")
        var before = 0
        while let notice = broker.pop("t@a", acknowledges: true), notice.id != id(100_001) { before += 1 }
        #expect(before == 3)
    }

    @Test("Messages from before the setting are one value of their own", arguments: [false, true])
    func older(restarts: Bool) throws {
        let broker = StateHarness()
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        publish(broker, "x", "y", "x", "y")
        configure(broker)
        publish(broker, "x", "x", "y")
        if restarts { try broker.restart() }
        #expect(popAll(broker) == [1, 5, 7, 2, 6, 3, 4])
    }

    @Test("A subscription that begins later finds what there is as one value")
    func later() {
        let broker = broker()
        publish(broker, "x", "y", "x")
        broker.send(.subscriptionCreate(broker.name("t@b"), .beginning))
        publish(broker, "y", "x")
        #expect((0..<5).map { _ in broker.pop("t@b")?.id.rawValue } == [1, 4, 5, 2, 3])
        #expect(broker.state.disagreements() == [])
    }

    @Test("Off again, everything is one row in publish order")
    func off() throws {
        let broker = broker()
        publish(broker, "x", "x", "y")
        configure(broker, header: "")
        publish(broker, "y")
        #expect(broker.state.disagreements() == [])
        try broker.restart()
        #expect(popAll(broker) == [1, 2, 3, 4])
    }

    @Test("What comes back takes its place in its value again; held keys and dead letters too")
    func comesBack() throws {
        let broker = broker()
        broker.publish(
            message(broker, "x", key: "k"), message(broker, "x", key: "k"), message(broker, "x"), message(broker, "y"),
            message(broker, "y"))
        let first = broker.pop("t@a")
        #expect(first?.id == id(1))
        #expect(broker.pop("t@a", acknowledges: true)?.id == id(4))
        #expect(broker.pop("t@a", acknowledges: true)?.id == id(3), "the key of message 2 is held")
        broker.settle(first, .reject(reason: "no"))
        #expect(broker.pop("t@a", acknowledges: true)?.id == id(5))
        broker.send(.deadRedrive(broker.name("t@a"), []))
        publish(broker, "y")
        try broker.restart()
        #expect(popAll(broker) == [1, 6, 2])
    }

    @Test(
        "A message that moves forward in the log finds its value, before a restart and after it",
        arguments: [false, true])
    func moved(restarts: Bool) throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 16 << 10))
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        publish(broker, "x", "x", "y")
        configure(broker)
        for _ in 0..<400 {
            broker.publish(broker.message("other", body: [UInt8](repeating: 7, count: 1_000)))
            #expect(broker.pop("other", acknowledges: true) != nil)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        #expect(broker.state.disagreements() == [])
        if restarts { try broker.restart() }
        #expect(broker.status("t@a").figures == [Figure("fair_values", 2)])
        #expect(popAll(broker) == [1, 3, 2])
    }

    @Test("Up to 100,000 values are told apart; those without messages are forgotten")
    func manyValues() {
        let row = FairRow(header: "tenant", ready: [OrderedIDs](repeating: OrderedIDs(), count: Topic.priorities))
        let rules = DispatchRules(DeliverySettings())
        let count = UInt64(FairRow.valuesMax)
        for number in 1...count + 2 {
            row.assign(id(number), [Header("tenant", "v\(number)")], 4)
            row.enter(id(number), 4)
        }
        #expect(row.valueCount == FairRow.valuesMax)
        func take() -> MessageID? {
            guard let next = row.next(rules, now: WallTime(milliseconds: 0), since: { _ in WallTime(milliseconds: 0) })
            else { return nil }
            row.noteServed(rules.fairWeights)
            row.exit(next, 4)
            row.forget(next)
            return next
        }
        #expect((1...count + 2).allSatisfy { take() == id($0) })
        #expect(take() == nil)
        #expect(row.valueCount == 0)
    }
}
