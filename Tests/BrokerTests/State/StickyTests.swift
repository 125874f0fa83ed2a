import BrokerProtocol
import Testing

@testable import Broker

@Suite("Sticky ordering keys") struct StickyTests {
    private func broker(_ credits: UInt32...) -> StateHarness {
        let broker = StateHarness()
        broker.configure("t") { $0.delivery.isSticky = true }
        for (index, credit) in credits.enumerated() { broker.subscribe("t", UInt64(index) + 1, credit: credit) }
        return broker
    }

    private func publish(_ broker: StateHarness, _ keys: String?...) {
        for key in keys {
            var message = broker.message("t")
            message.orderingKey = key
            broker.publish(message)
        }
    }

    /// Who got what, in order.
    private func served(_ broker: StateHarness) -> [String] {
        broker.delivered.map { "\($0.notice.id)→\($0.session.rawValue)" }
    }

    private func settle(_ broker: StateHarness, _ number: UInt64) {
        guard let delivery = broker.delivered.last(where: { $0.notice.id == id(number) }) else {
            Issue.record("\(number) was not delivered")
            return
        }
        #expect(broker.settle(delivery.notice, .ack, delivery.session.rawValue) == nil)
    }

    @Test("A key stays with the consumer that got it first")
    func stays() {
        let broker = broker(10, 10)
        publish(broker, "a", "b")
        settle(broker, 1)
        settle(broker, 2)
        publish(broker, "b", "a", "c")
        #expect(served(broker) == ["1→1", "2→2", "3→2", "4→1", "5→2"])
        settle(broker, 4)
        settle(broker, 5)
        publish(broker, "a", "c", "b")
        #expect(served(broker).suffix(2) == ["6→1", "7→2"])
        settle(broker, 3)
        #expect(served(broker).last == "8→2")
        #expect(broker.status("t").figures.contains(Figure("sticky_keys", 3)))
        #expect(broker.state.disagreements() == [])
    }

    @Test("Its messages wait for a busy consumer, in order, and other keys go on")
    func busy() {
        let broker = broker(1, 5)
        publish(broker, "a")
        settle(broker, 1)
        publish(broker, nil, nil)
        // The second consumer has waited longer, and both are idle.
        #expect(served(broker) == ["1→1", "2→2", "3→1"])
        publish(broker, "a", "a", "b")
        #expect(served(broker).suffix(1) == ["6→2"])
        #expect(broker.status("t").figures.contains(Figure("held", 2)))
        #expect(broker.state.disagreements() == [])
        settle(broker, 3)
        #expect(served(broker).last == "4→1")
        settle(broker, 4)
        #expect(served(broker).last == "5→1")
        publish(broker, nil)
        broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 2), 1)
        publish(broker, "a")
        settle(broker, 5)
        #expect(served(broker).last == "8→1")
        #expect(broker.state.disagreements() == [])
    }

    @Test("When the consumer ends, the next one takes its keys over", arguments: [false, true])
    func ends(isClosed: Bool) {
        let broker = broker(1, 5)
        publish(broker, "a")
        settle(broker, 1)
        publish(broker, nil, nil, "a", "a")
        #expect(served(broker).count == 3)
        if isClosed { broker.close(1) } else { broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)), 1) }
        broker.turn()
        #expect(served(broker).last == "4→2")
        settle(broker, 4)
        #expect(served(broker).last == "5→2")
        #expect(broker.state.disagreements() == [])
    }

    @Test("A pop gets what belongs to no consumer, and keeps no key")
    func pops() {
        let broker = broker(1)
        publish(broker, "a")
        settle(broker, 1)
        publish(broker, nil, "a", "b")
        #expect(broker.pop("t", session: 9)?.id == id(4))
        #expect(broker.pop("t", session: 9) == nil)
        settle(broker, 2)
        #expect(served(broker).last == "3→1")
        let waiting = broker.wait("t", session: 9)
        publish(broker, "a", "b")
        settle(broker, 3)
        #expect(served(broker).last == "5→1")
        #expect(broker.popped(waiting) == nil, "the key of message 6 is held by message 4")
        #expect(broker.state.disagreements() == [])
    }

    @Test("A connection that has no room for leases keeps its keys")
    func room() {
        var limits = StateLimits()
        limits.leasesPerConnectionMax = 1
        let broker = StateHarness(limits: limits)
        broker.configure("t") { $0.delivery.isSticky = true }
        broker.subscribe("t", 1, credit: 5)
        publish(broker, "a")
        settle(broker, 1)
        publish(broker, nil)
        broker.subscribe("t", 2, credit: 5)
        publish(broker, "a", "b")
        #expect(served(broker) == ["1→1", "2→1", "4→2"])
        settle(broker, 2)
        #expect(served(broker).last == "3→1")
        #expect(broker.state.disagreements() == [])
    }

    @Test("Off again, or after a restart, what was held goes to anybody", arguments: [false, true])
    func off(restarts: Bool) throws {
        let broker = broker(1, 5)
        publish(broker, "a")
        settle(broker, 1)
        publish(broker, nil, nil, "a")
        #expect(served(broker).count == 3)
        if restarts {
            try broker.restart()
            broker.subscribe("t", 2)
            #expect(Set(served(broker).suffix(3)) == ["2→2", "3→2", "4→2"])
        } else {
            broker.configure("t") { $0.delivery.isSticky = false }
            broker.turn()
            #expect(served(broker).last == "4→2")
        }
        #expect(broker.state.disagreements() == [])
    }

    @Test("What waits for a consumer that ended comes back in pieces", .timeLimit(.minutes(1)))
    func manyOrphans() {
        let broker = broker(1, 0)
        publish(broker, "a")
        settle(broker, 1)
        publish(broker, nil)
        let count = BrokerState.blockedPerTurn + 10
        broker.ask(
            .publish(
                (0..<count).map { _ in
                    var message = broker.message("t")
                    message.orderingKey = "a"
                    return message
                }))
        broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 1), 2)
        for _ in 0..<3 { broker.turn() }
        #expect(broker.delivered.count == 2)
        broker.ask(.unsubscribe(consumer: ConsumerID(rawValue: 1)), 1)
        broker.turn()
        #expect(broker.state.nextDeadline(now: broker.now) == 0)
        broker.turn()
        #expect(broker.last?.id == id(3))
        #expect(broker.status("t").ready == UInt64(count) - 1)
    }
}
