import BrokerProtocol
import Testing

@testable import Broker

@Suite("Recovery of the state") struct RecoveryTests {
    @Test("No effect may leave before the record that justifies it")
    func justified() {
        let broker = StateHarness()
        broker.subscribe("t", credit: 10)
        broker.publish("t")
        let published = broker.journal.records.last { record in
            (try? FactCodec.decode(record.payload).contains { if case .published = $0.fact { true } else { false } })
                == true
        }!
        let end = published.position + UInt64(published.payload.count + MemoryJournal.headerBytes)
        for pending in broker.effects.suffix(2) { #expect(pending.requires == end) }
        broker.settle(broker.last, .ack)
        #expect(broker.effects.last!.requires == broker.journal.end)
    }

    @Test("Nobody waits for the record of an attempt")
    func attempts() {
        let broker = StateHarness()
        broker.subscribe("t", credit: 10)
        broker.publish("t")
        let before = broker.effects.last!.requires
        broker.send(.ping)
        #expect(broker.effects.last!.requires == before)
        #expect(before < broker.journal.end)
    }

    @Test("What was handed out when the broker ended is ready again, with its attempt counted")
    func leasedAtTheEnd() throws {
        let broker = StateHarness()
        broker.subscribe("t", credit: 2)
        for _ in 0..<3 { broker.publish("t") }
        try broker.restart()
        #expect(broker.status("t").ready == 3)
        broker.subscribe("t", credit: 3)
        #expect(broker.delivered.suffix(3).map(\.notice.id) == [1, 2, 3].map { id($0) })
        #expect(broker.delivered.suffix(3).map(\.notice.attempt) == [2, 2, 1])
    }

    @Test("A restart is no death of the consumer")
    func noDeath() throws {
        let broker = StateHarness()
        broker.publish("t")
        for _ in 0..<5 {
            _ = broker.pop("t")
            try broker.restart()
        }
        #expect(broker.status("t").dead == 0)
        #expect(broker.pop("t")?.attempt == 6)
    }

    @Test("A confirmed acknowledgement is never undone, an unlogged one is")
    func acknowledgements() throws {
        let broker = StateHarness()
        broker.subscribe("t", credit: 2)
        for _ in 0..<2 { broker.publish("t") }
        broker.settle(broker.delivered[0].notice, .ack)
        let end = broker.journal.end
        broker.settle(broker.delivered[1].notice, .ack)
        try broker.restart(keepingBefore: end)
        #expect(broker.status("t").ready == 1)
        #expect(broker.pop("t")?.id == id(2))
    }

    @Test("Every prefix of the log makes a sound state")
    func prefixes() throws {
        let broker = StateHarness()
        broker.subscribe("t@a", consumer: 1, credit: 3)
        broker.subscribe("t@b", consumer: 2, credit: 3)
        for _ in 0..<4 { broker.publish("t") }
        for delivery in broker.delivered.prefix(4) { broker.settle(delivery.notice, .ack) }
        for delivery in broker.delivered.suffix(2) { broker.settle(delivery.notice, .reject(reason: "x")) }
        broker.close(1)
        broker.send(.deadRedrive(broker.name("t@a"), []))
        broker.send(.subscriptionDelete(broker.name("t@a")))
        let positions = broker.journal.records.map(\.position) + [broker.journal.end]
        for position in positions.reversed() {
            try broker.restart(keepingBefore: position)
            #expect(broker.state.disagreements() == [])
        }
        #expect(broker.state.topics.isEmpty)
    }

    @Test("Counters since the start do not count the replay")
    func counters() throws {
        let broker = StateHarness()
        broker.publish("t")
        _ = broker.pop("t", acknowledges: true)
        try broker.restart()
        let status = broker.state.status()
        #expect((status.published, status.delivered, status.acknowledged) == (0, 0, 0))
        #expect(broker.status("t").acknowledged == 0)
    }

    @Test("Each segment is enough for all definitions, also when its first record was torn by a crash")
    func definitionsInEachSegment() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 64 << 10))
        for number in 0..<30 { broker.send(.topicCreate(broker.topic("t\(number)"), TopicSettings())) }
        let body = [UInt8](repeating: 0, count: 1_000)
        for segment in 1...8 as ClosedRange<UInt64> {
            while broker.journal.currentSegment < segment {
                // The sizes differ, so that every gap is met at the end of a segment.
                let count = Int(broker.state.nextMessage % 900)
                broker.publish(broker.message("t0", body: Array(body[..<count])))
                _ = broker.pop("t0", acknowledges: true)
            }
            let first = broker.journal.records.first { $0.position >= segment * broker.journal.segmentBytes }
            try broker.restart(keepingBefore: try #require(first).position)
            broker.publish("t1")
            broker.publish("t2")
            // As if nothing in the segments before counted.
            broker.journal.recycle(before: broker.journal.currentSegment)
            try broker.restart()
            #expect(broker.state.topics.count == 30)
            #expect(broker.state.topicsByName.count == 30)
            #expect(broker.state.definitionBytes == (0..<30).reduce(0) { $0 + 100 + "t\($1)".utf8.count + 107 })
        }
    }

    @Test("A log that continues in a fresh segment after a restart begins it with all definitions")
    func freshSegmentAfterRestart() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 64 << 10))
        broker.subscribe("t@a", credit: 0)
        broker.journal.beginSegment()
        try broker.restart()
        broker.publish("t")
        broker.journal.recycle(before: 1)
        try broker.restart()
        #expect(broker.status("t@a").ready == 1)
        #expect(broker.publish("t") == id(2))
    }

    @Test("After a drain nothing is delivered or published, and what is leased may still be settled")
    func drain() {
        let broker = StateHarness()
        broker.subscribe("t", credit: 1)
        for _ in 0..<2 { broker.publish("t") }
        let pop = broker.wait("u", session: 2)
        let topics = broker.state.topics.count
        broker.drain()
        #expect(code(broker.response(pop)) == .shuttingDown)
        #expect(
            broker.effects.contains { $0.effect == .endConsumer(SessionID(rawValue: 1), ConsumerID(rawValue: 1), nil) })
        #expect(code(broker.send(.publish([broker.message("t")]))) == .shuttingDown)
        #expect(code(broker.subscribe("x", consumer: 2)) == .shuttingDown)
        #expect(
            code(broker.send(.pop([broker.name("x")], timeoutMilliseconds: 9, acknowledges: false))) == .shuttingDown)
        #expect(broker.state.topics.count == topics)
        #expect(
            broker.send(
                .commit(publishes: [broker.message("u")], settlements: [Settlement(broker.last!.lease, .ack)]))
                == .committed([PublishReceipt(id: id(3))]))
        #expect(broker.delivered.count == 1)
        #expect(broker.state.leases.isEmpty)
    }
}
