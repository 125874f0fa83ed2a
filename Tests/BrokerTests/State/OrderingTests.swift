import BrokerProtocol
import Testing

@testable import Broker

@Suite("Ordering keys") struct OrderingTests {
    private func broker(credit: UInt32 = 100) -> StateHarness {
        let broker = StateHarness()
        broker.configure("t") {
            $0.delivery.backoffBaseMilliseconds = 1_000
            $0.delivery.attemptsMax = 2
        }
        broker.subscribe("t", credit: credit)
        return broker
    }

    private func publish(_ broker: StateHarness, _ keys: String...) {
        for key in keys {
            var message = broker.message("t")
            message.orderingKey = key
            broker.publish(message)
        }
    }

    private func ids(_ numbers: UInt64...) -> [MessageID] { numbers.map { id($0) } }

    @Test("At most one message of a key is in flight; other keys go on")
    func oneInFlight() {
        let broker = broker()
        publish(broker, "a", "a", "b", "a", "b")
        #expect(broker.deliveredIDs("t") == ids(1, 3))
        #expect(broker.status("t").ready == 3)
        broker.settle(broker.delivered[0].notice, .ack)
        #expect(broker.deliveredIDs("t") == ids(1, 3, 2))
        broker.settle(broker.delivered[1].notice, .ack)
        broker.settle(broker.delivered[2].notice, .ack)
        #expect(broker.deliveredIDs("t") == ids(1, 3, 2, 5, 4))
        #expect(broker.state.disagreements() == [])
    }

    @Test("The order inside a key holds while one waits for its retry")
    func retry() {
        let broker = broker()
        publish(broker, "a", "a", "b")
        broker.settle(broker.delivered[0].notice, .fail(error: "x", afterMilliseconds: 5_000))
        broker.settle(broker.delivered[1].notice, .release(afterMilliseconds: 9_000))
        publish(broker, "b", "a")
        #expect(broker.deliveredIDs("t") == ids(1, 3))
        broker.pass(milliseconds: 5_000)
        #expect(broker.deliveredIDs("t") == ids(1, 3, 1))
        broker.settle(broker.last, .ack)
        #expect(broker.deliveredIDs("t") == ids(1, 3, 1, 2))
        broker.pass(milliseconds: 4_000)
        #expect(broker.deliveredIDs("t") == ids(1, 3, 1, 2, 3))
        #expect(broker.state.disagreements() == [])
    }

    @Test("After a dead letter the key goes on")
    func deadLetter() {
        let broker = broker()
        publish(broker, "a", "a")
        broker.settle(broker.last, .reject(reason: "no"))
        #expect(broker.deliveredIDs("t") == ids(1, 2))
        broker.send(.deadRedrive(broker.name("t"), []))
        #expect(broker.deliveredIDs("t") == ids(1, 2))
        broker.settle(broker.last, .ack)
        #expect(broker.deliveredIDs("t") == ids(1, 2, 1))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A lost connection and an expired lease keep the key")
    func abandoned() {
        let broker = broker(credit: 0)
        broker.subscribe("t", 2, consumer: 1)
        publish(broker, "a", "a")
        #expect(broker.deliveredIDs("t") == ids(1))
        broker.close(2)
        broker.subscribe("t", 3, consumer: 1)
        #expect(broker.deliveredIDs("t") == ids(1))
        broker.pass(milliseconds: 1_000)
        #expect(broker.deliveredIDs("t") == ids(1, 1))
    }

    @Test("Each subscription has its own keys, and pops keep them too")
    func subscriptions() {
        let broker = broker(credit: 0)
        broker.send(.subscriptionCreate(broker.name("t@email"), .beginning))
        publish(broker, "a", "a")
        #expect(broker.pop("t")?.id == id(1))
        #expect(broker.pop("t") == nil)
        #expect(broker.pop("t", acknowledges: true) == nil)
        #expect(broker.pop("t@email", acknowledges: true)?.id == id(1))
        #expect(broker.pop("t@email", acknowledges: true)?.id == id(2))
    }

    @Test("A restart keeps the key with the message that waits for its retry")
    func restart() throws {
        let broker = broker()
        publish(broker, "a", "a", "b", "b")
        broker.settle(broker.delivered[0].notice, .fail(error: "x", afterMilliseconds: 20_000))
        try broker.restart()
        let before = broker.delivered.count
        broker.subscribe("t", 2)
        #expect(broker.delivered[before...].map(\.notice.id) == ids(3))
        broker.pass(milliseconds: 20_000)
        #expect(broker.delivered[before...].map(\.notice.id) == ids(3, 1))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A message that moves forward in the log keeps its key")
    func moved() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 16 << 10))
        broker.configure("t") { $0.delivery.backoffBaseMilliseconds = 1_000 }
        broker.subscribe("t", credit: 1)
        publish(broker, "a", "a")
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 3_600_000))
        for _ in 0..<400 {
            broker.publish(broker.message("t", body: [UInt8](repeating: 7, count: 1_000)))
            broker.settle(broker.last, .ack)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try broker.restart()
        let before = broker.delivered.count
        broker.subscribe("t", 2)
        #expect(broker.delivered.count == before)
        broker.pass(milliseconds: 3_600_000)
        #expect(broker.delivered[before...].map(\.notice.id) == ids(1))
    }

    private func keyed(_ broker: StateHarness, _ key: String, priority: UInt8 = 4) -> OutgoingMessage {
        var message = broker.message("t", priority: priority)
        message.orderingKey = key
        return message
    }

    @Test(
        "A freed key goes to the message whose turn it is, be it newer than the one that waits",
        arguments: [false, true])
    func freedKey(restarts: Bool) throws {
        let broker = StateHarness()
        broker.subscribe("t", credit: 2)
        broker.publish(keyed(broker, "k"), keyed(broker, "k"))
        broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 0))
        broker.settle(broker.last, .ack)
        broker.publish(keyed(broker, "k", priority: 9))
        if restarts {
            try broker.restart()
            broker.subscribe("t", credit: 2)
        } else {
            broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 2))
        }
        #expect(broker.deliveredIDs("t") == [id(1), id(3)])
        broker.settle(broker.last, .ack)
        #expect(broker.last?.id == id(2))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A blocked message that goes for another reason leaves the others of its key their way")
    func blockedGoes() {
        let broker = StateHarness()
        broker.subscribe("t", credit: 9)
        var expiring = keyed(broker, "k")
        expiring.expiresAt = broker.later(100)
        broker.publish(keyed(broker, "k"), expiring, keyed(broker, "k"))
        broker.pass(milliseconds: 100)
        broker.settle(broker.last, .ack)
        #expect(broker.deliveredIDs("t") == [id(1), id(3)])
        #expect(broker.dead("t").map(\.id) == [id(2)])
        broker.settle(broker.last, .ack)
        #expect(broker.state.messages.count == 1)
        #expect(broker.state.subscription(named: broker.name("t"))?.keys.isEmpty == true)
    }

    @Test("A long row behind a held key is put aside over several turns, and does not hide what lies behind it")
    func longRow() {
        let broker = StateHarness()
        let count = 2 * BrokerState.blockedPerTurn + 10
        broker.ask(.publish((0..<count).map { _ in keyed(broker, "k") } + [keyed(broker, "other")]))
        broker.subscribe("t", credit: 9)
        #expect(broker.deliveredIDs("t") == [id(1)])
        #expect(broker.state.nextDeadline(now: broker.now) == 0)
        for _ in 0..<2 { broker.turn() }
        #expect(broker.deliveredIDs("t") == [id(1), id(UInt64(count) + 1)])
        #expect(broker.state.nextDeadline(now: broker.now) != 0)
        #expect(broker.status("t").ready == UInt64(count) - 1)
    }
}
