import BrokerProtocol
import Testing

@testable import Broker

@Suite("Dead letters") struct DeadLetterTests {
    /// A topic with dead letters of `t` by rejection.
    private func rejected(_ count: Int) -> StateHarness {
        let broker = StateHarness()
        broker.subscribe("t", credit: 1)
        for number in 1...count {
            broker.publish("t")
            broker.settle(broker.last, .reject(reason: "bad \(number)"))
        }
        return broker
    }

    @Test("A rejected message is dead at once, with the consumer's words, attempts and time")
    func rejection() {
        let broker = rejected(1)
        let dead = broker.dead("t")
        #expect(dead.map(\.grave?.text) == ["rejected: bad 1"])
        #expect(dead.map(\.attempt) == [1])
        #expect(dead.map(\.grave?.at) == [broker.now.wall])
        #expect(broker.status("t").dead == 1)
        broker.pass(milliseconds: 86_400_000)
        #expect(broker.delivered.count == 1)
    }

    @Test("A rejection keeps the error of the attempt before")
    func lastError() {
        let broker = StateHarness()
        broker.subscribe("t", credit: 1)
        broker.publish("t")
        broker.settle(broker.last, .fail(error: "first", afterMilliseconds: 0))
        broker.pass(milliseconds: 0)
        broker.settle(broker.last, .reject(reason: "enough"))
        #expect(broker.dead("t").map(\.lastError) == ["first"])
    }

    @Test("One subscription gives up; the others still get the message")
    func alone() {
        let broker = StateHarness()
        broker.subscribe("t@a", consumer: 1, credit: 1)
        broker.subscribe("t@b", consumer: 2, credit: 1)
        broker.publish("t")
        let first = broker.delivered.first { $0.notice.subscription.name == "a" }?.notice
        broker.settle(first, .reject(reason: "no"))
        #expect(broker.status("t@a").dead == 1)
        #expect(broker.status("t@b").dead == 0)
        #expect(broker.send(.deadRedrive(broker.name("t@b"), [])) == .count(0))
        broker.settle(broker.last, .ack)
        #expect(broker.send(.deadRedrive(broker.name("t@a"), [])) == .count(1))
        #expect(broker.deliveredIDs("t@a") == [id(1), id(1)])
        #expect(broker.deliveredIDs("t@b") == [id(1)])
    }

    @Test("Redrive is one record: it keeps the id, resets attempts and deaths, and counts itself")
    func redrive() throws {
        let broker = rejected(3)
        broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 0))
        let records = broker.journal.records.count
        #expect(broker.send(.deadRedrive(broker.name("t"), [id(1), id(3), id(1)])) == .count(2))
        #expect(broker.journal.records.count == records + 1)
        #expect(broker.dead("t").map(\.id) == [id(2)])
        try broker.restart()
        broker.subscribe("t", credit: 5)
        let again = broker.delivered.suffix(2).map(\.notice)
        #expect(again.map(\.id) == [id(1), id(3)])
        #expect(again.map(\.attempt) == [1, 1])
        #expect(again.map(\.redrives) == [1, 1])
        broker.settle(broker.last, .reject(reason: "still bad"))
        #expect(broker.dead("t").last?.grave?.text == "rejected: still bad")
        #expect(broker.dead("t").last?.redrives == 1)
    }

    @Test("A redriven poison message dies only after three more deaths")
    func redrivenPoison() {
        let broker = StateHarness()
        broker.configure("t") {
            $0.delivery.leaseMilliseconds = 100
            $0.delivery.backoffBaseMilliseconds = 0
            $0.delivery.backoffCapMilliseconds = 0
        }
        broker.subscribe("t", credit: 1)
        broker.publish("t")
        for _ in 0..<3 { broker.pass(milliseconds: 100) }
        #expect(broker.dead("t").map(\.grave?.text) == ["poison"])
        broker.send(.deadRedrive(broker.name("t"), []))
        for _ in 0..<2 { broker.pass(milliseconds: 100) }
        #expect(broker.dead("t") == [])
        broker.pass(milliseconds: 100)
        #expect(broker.dead("t").map(\.redrives) == [1])
    }

    @Test("A redrive or purge that names a living message changes nothing")
    func unknown() {
        let broker = rejected(2)
        broker.publish("t")
        for request in [
            Request.deadRedrive(broker.name("t"), [id(1), id(3)]), .deadPurge(broker.name("t"), [id(1), id(3)]),
        ] {
            #expect(code(broker.send(request)) == .messageUnknown)
            #expect(broker.status("t").dead == 2)
        }
    }

    @Test("Purge removes for good, also after a restart")
    func purge() throws {
        let broker = rejected(3)
        #expect(broker.send(.deadPurge(broker.name("t"), [id(2)])) == .count(1))
        #expect(broker.dead("t").map(\.id) == [id(1), id(3)])
        #expect(broker.send(.deadPurge(broker.name("t"), [])) == .count(2))
        #expect(broker.state.messages.count == 0)
        try broker.restart()
        #expect(broker.dead("t") == [])
        #expect(broker.state.messages.count == 0)
    }

    @Test("Dead letters survive a restart with reason, error, attempts and time")
    func restart() throws {
        let broker = rejected(2)
        let before = broker.dead("t")
        broker.pass(milliseconds: 1_000)
        try broker.restart()
        #expect(broker.dead("t") == before)
    }

    @Test("Redrive and purge of very many go in records that fit", arguments: [true, false])
    func many(isRedrive: Bool) throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 8 << 20))
        broker.subscribe("t", credit: 25_000)
        let body = (0..<25_000).map { _ in broker.message("t") }
        broker.send(.publish(body))
        broker.send(.settle(broker.delivered.map { Settlement($0.notice.lease, .reject(reason: "x")) }))
        #expect(broker.status("t").dead == 10_000)
        broker.send(
            .settle(broker.delivered.dropFirst(10_000).map { Settlement($0.notice.lease, .reject(reason: "x")) }))
        broker.send(
            .settle(broker.delivered.dropFirst(20_000).map { Settlement($0.notice.lease, .reject(reason: "x")) }))
        #expect(broker.status("t").dead == 25_000)
        broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)))
        broker.journal.recordBytesMax = 200_000
        let name = broker.name("t")
        let records = broker.journal.records.count
        #expect(broker.send(isRedrive ? .deadRedrive(name, []) : .deadPurge(name, [])) == .count(25_000))
        #expect(broker.journal.records.count == records + 3)
        #expect(broker.status("t").ready == (isRedrive ? 25_000 : 0))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A listing goes on from an id and stops at its limit")
    func pages() {
        let broker = rejected(5)
        func page(_ from: UInt64, _ limit: UInt32) -> [MessageID] {
            let subscription = broker.state.subscription(named: broker.name("t"))!
            return broker.state.deadNotices([subscription], from: id(from), limit: limit).map(\.id)
        }
        #expect(page(0, 2) == [id(1), id(2)])
        #expect(page(3, 2) == [id(3), id(4)])
        #expect(page(5, 9) == [id(5)])
        #expect(page(6, 9) == [])
        broker.send(.deadPurge(broker.name("t"), [id(4)]))
        #expect(page(3, 9) == [id(3), id(5)])
    }

    @Test("A message that expires before its delivery is dead with the reason expired")
    func expired() {
        let broker = StateHarness()
        broker.publish(broker.message("t", expiresAt: broker.later(1_000)))
        broker.publish(broker.message("t", expiresAt: broker.later(1_001)))
        broker.pass(milliseconds: 1_000)
        broker.subscribe("t", credit: 5)
        #expect(broker.deliveredIDs("t") == [id(2)])
        #expect(broker.dead("t").map(\.grave?.text) == ["expired"])
        #expect(broker.dead("t").map(\.attempt) == [0])
    }
}
