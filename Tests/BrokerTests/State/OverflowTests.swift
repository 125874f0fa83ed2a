import BrokerProtocol
import Testing

@testable import Broker

/// L1–L3 and P4 of docs/SEMANTICS.md.
@Suite("Limits of a topic, and what a publish beyond them does") struct OverflowTests {
    private func house(_ change: (inout TopicSettings) -> Void) -> StateHarness {
        let broker = StateHarness()
        broker.configure("t", change)
        return broker
    }

    private func publish(_ broker: StateHarness, bytes: Int = 3) -> BrokerError.Code? {
        code(.published(broker.publish(broker.message("t", body: [UInt8](repeating: 1, count: bytes)))))
    }

    private func figure(_ broker: StateHarness, _ name: String) -> Int64? {
        broker.state.topicStatuses().first?.figures.first { $0.name == name }?.value
    }

    private func ready(_ broker: StateHarness, _ name: String) -> [MessageID] {
        broker.state.subscription(named: broker.name(name))?.waiting(through: id(1 << 50)) ?? []
    }

    @Test("At messages_max a publish is refused; a dead letter does not count, an ack makes room")
    func messagesMax() {
        let broker = house { $0.messagesMax = 2 }
        #expect(publish(broker) == nil)
        #expect(publish(broker) == nil)
        guard case .failure(let error)? = broker.publish(broker.message("t")).first else {
            Issue.record("it was accepted")
            return
        }
        #expect(error == BrokerError(.topicFull, "t holds 2 open messages, its messages_max"))
        broker.settle(broker.pop("t"), .reject(reason: "no"))
        #expect(publish(broker) == nil)
        #expect(publish(broker) == .topicFull)
        broker.settle(broker.pop("t"), .ack)
        #expect(publish(broker) == nil)
    }

    @Test("bytes_max counts bodies and headers of open messages, exactly, and over a restart")
    func bytesMax() throws {
        let broker = house { $0.bytesMax = 14 }
        #expect(publish(broker, bytes: 4) == nil)
        var headed = broker.message("t", body: [1, 2])
        headed.headers = [Header("ab", "cd")]
        #expect(code(.published(broker.publish(headed))) == nil)
        #expect(figure(broker, "open_bytes") == 14)
        #expect(publish(broker, bytes: 1) == .topicFull)
        #expect(publish(broker, bytes: 0) == nil)
        try broker.restart()
        #expect(publish(broker, bytes: 1) == .topicFull)
        broker.settle(broker.pop("t"), .ack)
        #expect(publish(broker, bytes: 5) == .topicFull)
        #expect(publish(broker, bytes: 4) == nil)
    }

    @Test("drop_oldest drops the oldest ready message in the record of the publish, for everybody who has it ready")
    func dropOldest() throws {
        let broker = house {
            $0.messagesMax = 3
            $0.overflow = .dropOldest
        }
        for name in ["t@a", "t@b"] { broker.send(.subscriptionCreate(broker.name(name), .beginning)) }
        let first = broker.publish("t", count: 3)
        let records = broker.journal.records.count
        let fourth = broker.publish("t")
        #expect(broker.journal.records.count == records + 1)
        #expect(ready(broker, "t@a") == Array(first[1...]) + [fourth])
        #expect(ready(broker, "t@b") == ready(broker, "t@a"))
        #expect(figure(broker, "dropped") == 1)
        try broker.restart()
        #expect(ready(broker, "t@b") == Array(first[1...]) + [fourth])
        #expect(broker.status("t@a").dead == 0)
    }

    @Test("dead_letter_oldest keeps it as a dead letter with the reason overflow")
    func deadLetterOldest() throws {
        let broker = house {
            $0.bytesMax = 10
            $0.overflow = .deadLetterOldest
        }
        #expect(publish(broker, bytes: 4) == nil)
        #expect(publish(broker, bytes: 4) == nil)
        #expect(publish(broker, bytes: 9) == nil)
        #expect(broker.dead("t").map(\.id) == [id(1), id(2)])
        #expect(broker.dead("t").map(\.deathReason) == ["overflow", "overflow"])
        #expect(figure(broker, "overflowed") == 2)
        try broker.restart()
        #expect(ready(broker, "t") == [id(3)])
        #expect(broker.dead("t").count == 2)
    }

    @Test("What is leased or delayed stays; when nothing else is there, the publish is refused")
    func heldOnes() {
        let broker = house {
            $0.messagesMax = 2
            $0.overflow = .dropOldest
        }
        let leased = broker.publish("t")
        let lease = broker.pop("t")
        broker.publish(broker.message("t", deliverAt: broker.later(1_000)))
        #expect(publish(broker) == .topicFull)
        #expect(lease?.id == leased)
        broker.pass(milliseconds: 1_000)
        #expect(publish(broker) == nil)
        #expect(ready(broker, "t") == [id(3)])
        #expect(broker.settle(lease, .ack) == nil)
    }

    @Test("A message that another subscription holds stays open there, and does not make room")
    func heldElsewhere() {
        let broker = house {
            $0.messagesMax = 2
            $0.overflow = .dropOldest
        }
        for name in ["t@a", "t@b"] { broker.send(.subscriptionCreate(broker.name(name), .beginning)) }
        let sent = broker.publish("t", count: 2)
        let lease = broker.pop("t@a")
        let third = broker.publish("t")
        #expect(ready(broker, "t@a") == [third])
        #expect(ready(broker, "t@b") == [third])
        #expect(broker.settle(lease, .release(afterMilliseconds: 0)) == nil)
        broker.pass(milliseconds: 1)
        #expect(broker.pop("t@a")?.id == sent[0])
    }

    @Test("A body that no dropping makes room for is refused, and nothing is dropped")
    func tooLarge() {
        let broker = house {
            $0.bytesMax = 10
            $0.overflow = .dropOldest
        }
        #expect(publish(broker, bytes: 10) == nil)
        #expect(publish(broker, bytes: 11) == .topicFull)
        #expect(ready(broker, "t") == [id(1)])
    }

    @Test("A commit of several publishes drops as many as it needs, in one record")
    func commit() {
        let broker = house {
            $0.messagesMax = 3
            $0.overflow = .dropOldest
        }
        _ = broker.publish("t", count: 3)
        let records = broker.journal.records.count
        let response = broker.send(
            .commit(publishes: (0..<2).map { _ in broker.message("t") }, settlements: []))
        guard case .committed? = response else {
            Issue.record("refused: \(String(describing: response))")
            return
        }
        #expect(broker.journal.records.count == records + 1)
        #expect(ready(broker, "t") == [id(3), id(4), id(5)])
        let tooMany = broker.send(.commit(publishes: (0..<4).map { _ in broker.message("t") }, settlements: []))
        #expect(code(tooMany) == .topicFull)
        #expect(ready(broker, "t") == [id(3), id(4), id(5)])
    }

    @Test("dedup_max bounds how many ids a topic remembers, over a restart too")
    func dedupMax() throws {
        let broker = house { $0.dedupMax = 2 }
        for dedup in ["a", "b", "c"] { broker.publish(broker.message("t", dedup: dedup)) }
        try broker.restart()
        func isDuplicate(_ dedup: String) -> Bool? {
            try? broker.publish(broker.message("t", dedup: dedup)).first?.get().isDuplicate
        }
        #expect(isDuplicate("b") == true)
        #expect(isDuplicate("c") == true)
        #expect(isDuplicate("a") == false)
        #expect(isDuplicate("b") == false)
    }

    @Test("With a deep backlog dropping looks at a few messages only")
    func cost() {
        let broker = house {
            $0.messagesMax = 20_000
            $0.overflow = .dropOldest
        }
        for _ in 0..<20 {
            broker.send(.publish((0..<1_000).map { _ in broker.message("t", body: []) }))
        }
        // Each would be a walk over all of them, were it linear: minutes.
        for _ in 0..<20 { broker.send(.publish((0..<1_000).map { _ in broker.message("t", body: []) })) }
        #expect(broker.status("t").ready == 20_000)
        #expect(broker.pop("t")?.id == id(20_001))
    }
}
