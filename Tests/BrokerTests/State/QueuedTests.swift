import BrokerProtocol
import Testing

@testable import Broker

/// A subscription that gets each message as a slot when it is published, beside those that follow the lane.
@Suite("Queued subscriptions") struct QueuedTests {
    private func subscription(_ broker: StateHarness, _ name: String) throws -> Subscription {
        try #require(broker.state.subscription(named: broker.name(name)))
    }

    private func broker(_ names: String...) -> StateHarness {
        let broker = StateHarness()
        for name in names { broker.send(.subscriptionCreate(broker.name(name), .beginning)) }
        return broker
    }

    private func laneCount(_ broker: StateHarness) -> Int {
        broker.state.topicsByName[broker.topic("t")]?.lanes.reduce(0) { $0 + $1.count } ?? -1
    }

    @Test("A queued subscription alone leaves the lanes empty, and delivers by priority, then in publish order")
    func alone() throws {
        let broker = broker("t@a")
        try subscription(broker, "t@a").becomeQueued()
        for priority in [4, 0, 9, 4, 9, 0] as [UInt8] { broker.publish(broker.message("t", priority: priority)) }
        #expect(laneCount(broker) == 0)
        #expect(broker.status("t@a").ready == 6)
        #expect(broker.state.disagreements() == [])
        broker.subscribe("t@a")
        #expect(broker.deliveredIDs("t@a") == [3, 5, 1, 4, 2, 6].map { id($0) })
        for delivery in broker.delivered { #expect(broker.settle(delivery.notice, .ack) == nil) }
        #expect(broker.state.messages.count == 0)
        #expect(broker.state.disagreements() == [])
    }

    @Test("Beside one that follows the lane each delivers everything once, and the lane is trimmed by that one")
    func beside() throws {
        let broker = broker("t@a", "t@b")
        try subscription(broker, "t@a").becomeQueued()
        for _ in 0..<300 { broker.publish("t") }
        broker.publish(broker.message("t", deliverAt: broker.later(1_000)))
        #expect(laneCount(broker) == 300)
        #expect(try subscription(broker, "t@a").slots.count == 301)
        #expect(try subscription(broker, "t@b").slots.count == 1)
        #expect(broker.state.disagreements() == [])
        broker.subscribe("t@b", consumer: 2, credit: 1_000)
        #expect(laneCount(broker) < 64)
        broker.subscribe("t@a", consumer: 1, credit: 1_000)
        broker.pass(milliseconds: 1_000)
        #expect(broker.deliveredIDs("t@a") == (1...301).map { id($0) })
        #expect(broker.deliveredIDs("t@b") == (1...301).map { id($0) })
        #expect(broker.state.disagreements() == [])
    }

    @Test("What was fresh when it becomes queued is delivered in its turn, whatever left before")
    func becomesQueued() throws {
        let broker = broker("t@a")
        for priority in [4, 7, 4, 4, 7] as [UInt8] { broker.publish(broker.message("t", priority: priority)) }
        #expect(broker.pop("t@a")?.id == id(2))
        try broker.state.drop([id(3)], from: subscription(broker, "t@a"))
        try subscription(broker, "t@a").becomeQueued()
        #expect(laneCount(broker) == 0)
        #expect(try subscription(broker, "t@a").freshCount == 0)
        #expect(broker.state.disagreements() == [])
        broker.publish(broker.message("t", priority: 7))
        #expect((0..<5).map { _ in broker.pop("t@a")?.id } == [id(5), id(6), id(1), id(4), nil])
        #expect(broker.state.disagreements() == [])
    }

    @Test("Back in the lane it keeps its slots, and takes what is published later from the lane, in one order")
    func becomesLane() throws {
        let broker = broker("t@a", "t@b")
        let queued = try subscription(broker, "t@a")
        queued.becomeQueued()
        _ = broker.publish("t", count: 3)
        queued.becomeLane()
        _ = broker.publish("t", count: 3)
        #expect((queued.slots.count, queued.freshCount) == (3, 3))
        #expect(broker.state.disagreements() == [])
        broker.subscribe("t@a")
        #expect(broker.deliveredIDs("t@a") == (1...6).map { id($0) })
    }

    @Test("A subscription that begins later gets what only queued ones hold")
    func laterSibling() throws {
        let broker = broker("t@a")
        try subscription(broker, "t@a").becomeQueued()
        _ = broker.publish("t", count: 3)
        broker.send(.subscriptionCreate(broker.name("t@b"), .beginning))
        _ = broker.publish("t", count: 2)
        #expect(broker.state.disagreements() == [])
        broker.subscribe("t@b")
        #expect(broker.deliveredIDs("t@b") == (1...5).map { id($0) })
    }

    @Test("A restart finds everything again, in the lanes")
    func restart() throws {
        let broker = broker("t@a", "t@b")
        try subscription(broker, "t@a").becomeQueued()
        _ = broker.publish("t", count: 5)
        #expect(broker.pop("t@a", acknowledges: true)?.id == id(1))
        try broker.restart()
        #expect(broker.state.disagreements() == [])
        #expect((broker.status("t@a").ready, broker.status("t@b").ready) == (4, 5))
    }

    /// Publishes, takes, settles, drops and changes of the mode in any order, recounted after each.
    @Test("Random operations keep every count", arguments: 1...16 as ClosedRange<UInt64>)
    func random(seed: UInt64) throws {
        let broker = broker("t@a", "t@b", "t@c")
        var random = SeededRandom(seed: seed)
        var notices: [Notice] = []
        for step in 0..<150 {
            let name = ["t@a", "t@b", "t@c"].randomElement(using: &random)!
            let chosen = try subscription(broker, name)
            switch UInt8.random(in: 0...11, using: &random) {
            case 0...4:
                var message = broker.message("t", priority: UInt8.random(in: 3...5, using: &random))
                if Bool.random(using: &random) { message.orderingKey = "k" }
                if UInt8.random(in: 0...4, using: &random) == 0 { message.deliverAt = broker.later(300) }
                broker.publish(message)
            case 5...6: if let notice = broker.pop(name) { notices.append(notice) }
            case 7:
                guard let index = notices.indices.randomElement(using: &random) else { continue }
                let verdicts: [Verdict] = [.ack, .reject(reason: "x"), .fail(error: "x", afterMilliseconds: 100)]
                broker.settle(notices.remove(at: index), verdicts.randomElement(using: &random)!)
            case 8: if chosen.isQueued { chosen.becomeLane() } else { chosen.becomeQueued() }
            case 9:
                let owed = chosen.owed().filter { chosen.slots[$0]?.place != .dead }
                if let id = owed.randomElement(using: &random) { try broker.state.drop([id], from: chosen) }
            case 10: broker.send(.deadRedrive(broker.name(name), []))
            default: broker.pass(milliseconds: 100)
            }
            let found = broker.state.disagreements()
            #expect(found == [], "step \(step)")
            if !found.isEmpty { return }
        }
    }
}
