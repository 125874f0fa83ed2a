import BrokerProtocol
import Testing

@testable import Broker

@Suite("Turns of consumers") struct ConsumerTurnTests {
    private func subscribe(
        _ broker: StateHarness, _ consumer: UInt32, credit: UInt32 = 100, weight: UInt8 = 1, session: UInt64 = 1
    ) {
        broker.send(
            .subscribe(
                consumer: ConsumerID(rawValue: consumer), subscription: broker.name("t"), credit: credit,
                start: .beginning, leaseMilliseconds: nil, weight: weight), session)
    }

    private func served(_ broker: StateHarness, from start: Int = 0) -> [UInt32] {
        broker.delivered[start...].map(\.notice.consumer.rawValue)
    }

    @Test("Consumers with as much to do take turns, the one that waits longest first")
    func turns() {
        let broker = StateHarness()
        for consumer in 1...3 as ClosedRange<UInt32> { subscribe(broker, consumer) }
        _ = broker.publish("t", count: 7)
        #expect(served(broker) == [1, 2, 3, 1, 2, 3, 1])
    }

    @Test("The one with the fewest unsettled deliveries is next")
    func fewest() {
        let broker = StateHarness()
        for consumer in 1...3 as ClosedRange<UInt32> { subscribe(broker, consumer) }
        _ = broker.publish("t", count: 6)
        broker.settle(broker.delivered[1].notice, .ack)
        broker.settle(broker.delivered[4].notice, .ack)
        broker.settle(broker.delivered[5].notice, .ack)
        _ = broker.publish("t", count: 4)
        // Unsettled before: 2, 0, 1.
        #expect(served(broker, from: 6) == [2, 3, 2, 1])
    }

    @Test("A weight counts the unsettled deliveries down, as far as the credit goes")
    func weights() {
        let broker = StateHarness()
        subscribe(broker, 1, weight: 3)
        subscribe(broker, 2)
        _ = broker.publish("t", count: 8)
        #expect(served(broker) == [1, 2, 1, 1, 2, 1, 1, 1])
        broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 6))
        _ = broker.publish("t", count: 2)
        #expect(served(broker, from: 8) == [2, 2])
    }

    @Test("A connection without room for leases is passed over, and comes back")
    func room() {
        var limits = StateLimits()
        limits.leasesPerConnectionMax = 2
        let broker = StateHarness(limits: limits)
        subscribe(broker, 1)
        subscribe(broker, 2)
        subscribe(broker, 1, session: 2)
        _ = broker.publish("t", count: 6)
        #expect(broker.delivered.map(\.session.rawValue) == [1, 1, 2, 2])
        broker.settle(broker.delivered[1].notice, .ack)
        #expect(broker.delivered.map(\.session.rawValue) == [1, 1, 2, 2, 1])
        #expect(broker.last?.consumer.rawValue == 2)
        broker.settle(broker.delivered[2].notice, .ack, 2)
        #expect(broker.delivered.map(\.session.rawValue) == [1, 1, 2, 2, 1, 2])
        limits.leasesPerConnectionMax = 3
        _ = broker.publish("t", count: 2)
        broker.state.limits = limits
        broker.turn()
        #expect(broker.delivered.count == 8)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A consumer that ends takes its place in the turn with it")
    func ends() {
        let broker = StateHarness()
        for consumer in 1...4 as ClosedRange<UInt32> { subscribe(broker, consumer) }
        broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 2)))
        _ = broker.publish("t", count: 3)
        #expect(served(broker) == [1, 3, 4])
        broker.close(1)
        subscribe(broker, 9, session: 5)
        broker.pass(milliseconds: 10_000)
        #expect(served(broker, from: 3) == [9, 9, 9])
        broker.send(.topicDelete(broker.topic("t")))
        _ = broker.publish("t", count: 1)
        #expect(broker.delivered.count == 6)
        #expect(broker.state.disagreements() == [])
    }

    /// With a look at each consumer for each delivery this would be two hundred million looks.
    @Test("A thousand consumers cost a delivery no more than a few steps", .timeLimit(.minutes(1)))
    func many() {
        let broker = StateHarness()
        for consumer in 1...1_000 as ClosedRange<UInt32> {
            broker.ask(
                .subscribe(
                    consumer: ConsumerID(rawValue: consumer), subscription: broker.name("t"), credit: 5,
                    start: .beginning, leaseMilliseconds: nil))
        }
        var counts = [UInt32](repeating: 0, count: 1_001)
        var queue = broker.state.subscription(named: broker.name("t"))?.crews
        #expect(queue?.first?.queue.first?.id.rawValue == 1)
        queue = nil
        for _ in 0..<20 {
            broker.ask(.publish((0..<1_000).map { _ in broker.message("t") }))
            let before = broker.state.leases.count
            broker.state.dispatch(now: broker.now)
            #expect(broker.state.leases.count == before + 1_000)
            for case .deliver(_, let notice) in broker.state.effects.map(\.effect) {
                counts[Int(notice.consumer.rawValue)] += 1
            }
            broker.state.effects = []
            broker.ask(.settle(broker.state.leases.keys.sorted().map { Settlement($0, .ack) }))
        }
        #expect(counts.dropFirst().allSatisfy { $0 == 20 })
    }
}
