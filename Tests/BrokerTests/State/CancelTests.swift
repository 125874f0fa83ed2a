import BrokerProtocol
import Testing

@testable import Broker

@Suite("Cancel") struct CancelTests {
    private func cancel(_ broker: StateHarness, _ ids: [UInt64]) -> [BrokerError.Code?] {
        guard case .settled(let results)? = broker.send(.cancel(ids.map { id($0) })) else { return [] }
        return results.map { $0?.code }
    }

    @Test("Ready, delayed and held messages go, from every subscription, in one record")
    func places() throws {
        let broker = StateHarness()
        broker.subscribe("t@a", consumer: 1, credit: 1)
        broker.send(.subscriptionCreate(broker.name("t@b"), .beginning))
        for _ in 0..<3 {
            broker.publish(OutgoingMessage(topic: broker.topic("t"), body: [], orderingKey: "k"))
        }
        broker.publish(broker.message("t", deliverAt: broker.later(1_000)))
        broker.settle(broker.last, .ack)
        let records = broker.journal.records.count
        #expect(cancel(broker, [3, 4]) == [nil, nil])
        #expect(broker.journal.records.count == records + 1)
        #expect(broker.state.disagreements() == [])
        #expect(broker.status("t@b").ready == 2)
        #expect(broker.status("t@b").delayed == 0)
        #expect(broker.status("t@a").leased == 1)
        try broker.restart()
        #expect(broker.state.disagreements() == [])
        #expect(broker.status("t@a").ready == 1)
        #expect(broker.status("t@b").ready == 2)
        broker.pass(milliseconds: 2_000)
        #expect([broker.pop("t@b")?.id, broker.pop("t@b")?.id] == [id(1), nil])
    }

    @Test("A message that one subscription holds leased is cancelled for none")
    func leased() {
        let broker = StateHarness()
        broker.subscribe("t@a")
        broker.send(.subscriptionCreate(broker.name("t@b"), .beginning))
        broker.publish("t")
        #expect(cancel(broker, [1]) == [.messageLeased])
        #expect(broker.status("t@b").ready == 1)
        broker.settle(broker.last, .ack)
        #expect(cancel(broker, [1]) == [nil])
        #expect(broker.state.messages.count == 0)
    }

    @Test("What is unknown, settled, dead everywhere or named twice is refused, alone")
    func unknown() {
        let broker = StateHarness()
        for _ in 0..<4 { broker.publish("t") }
        broker.settle(broker.pop("t"), .ack)
        broker.settle(broker.pop("t"), .reject(reason: "no"))
        let results = cancel(broker, [1, 2, 3, 3, 99])
        #expect(results == [.messageUnknown, .messageUnknown, nil, .messageUnknown, .messageUnknown])
        #expect(broker.dead("t").map(\.id) == [id(2)])
        #expect(broker.status("t").ready == 1)
        #expect(code(broker.send(.cancel((0...10_000).map { id($0) }))) == .batchTooLarge)
    }

    @Test("A dead letter of a cancelled message stays, also when it moves in the log")
    func deadStays() throws {
        let broker = StateHarness()
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        broker.send(.subscriptionCreate(broker.name("t@b"), .beginning))
        broker.publish("t")
        broker.settle(broker.pop("t@a"), .reject(reason: "no"))
        #expect(cancel(broker, [1]) == [nil])
        for _ in 0..<2 {
            #expect(broker.dead("t@a").map(\.id) == [id(1)])
            #expect(broker.status("t@b").ready == 0)
            #expect(broker.state.disagreements() == [])
            try broker.restart()
        }
    }

    @Test("The next of an ordering key goes on when the one before it is cancelled")
    func key() {
        let broker = StateHarness()
        for _ in 0..<2 { broker.publish(OutgoingMessage(topic: broker.topic("t"), body: [], orderingKey: "k")) }
        broker.settle(broker.pop("t"), .fail(error: "x", afterMilliseconds: 60_000))
        #expect(broker.pop("t") == nil)
        #expect(cancel(broker, [1]) == [nil])
        #expect(broker.pop("t")?.id == id(2))
        #expect(broker.state.disagreements() == [])
    }
}
