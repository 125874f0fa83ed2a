import BrokerProtocol
import Testing

@testable import Broker

@Suite("Retention") struct RetentionTests {
    private let body = [UInt8](repeating: 7, count: 1_000)

    private func small() -> StateHarness { StateHarness(journal: MemoryJournal(segmentBytes: 16 << 10)) }

    private func fill(_ broker: StateHarness, _ count: Int) {
        for _ in 0..<count {
            broker.publish(broker.message("fill", body: body))
            _ = broker.pop("fill", acknowledges: true)
        }
    }

    @Test("Segments without a live message go, from the oldest on")
    func emptySegments() throws {
        let broker = small()
        fill(broker, 100)
        try broker.shortenLog()
        #expect(broker.journal.firstSegment == broker.journal.currentSegment)
        #expect(broker.journal.records.count < 50)
    }

    @Test("A segment goes only when all that was logged before is durable")
    func recycleWaits() throws {
        let broker = small()
        fill(broker, 20)
        let end = broker.journal.end
        try broker.shortenLog()
        let recycle = broker.effects.last { if case .recycle = $0.effect { true } else { false } }
        #expect(recycle?.requires == end)
    }

    @Test("A straggler pins nothing: it moves forward with everything that is known of it")
    func straggler() throws {
        let broker = small()
        broker.subscribe("t@a", consumer: 1, credit: 10)
        broker.subscribe("t@b", consumer: 2, credit: 0)
        broker.subscribe("t@c", consumer: 3, credit: 10)
        for _ in 0..<4 { broker.publish(broker.message("t", priority: 6, body: body)) }
        let mine = broker.delivered.filter { $0.notice.subscription.name == "a" }.map(\.notice)
        broker.settle(mine[0], .fail(error: "one", afterMilliseconds: 900_000))
        broker.settle(mine[1], .reject(reason: "two"))
        broker.settle(mine[2], .ack)
        for delivery in broker.delivered where delivery.notice.subscription.name == "c" {
            broker.settle(delivery.notice, .ack)
        }
        fill(broker, 200)
        let address = broker.state.messages[id(1)]!.address
        let dead = broker.dead("t@a").map(\.grave?.text)
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 3)
        #expect(broker.state.messages[id(1)]!.address != address)
        #expect(broker.state.disagreements() == [])
        for _ in 0..<2 {
            try broker.restart()
            #expect(broker.state.disagreements() == [])
            #expect(broker.dead("t@a").map(\.grave?.text) == dead)
            #expect(broker.dead("t@a").map(\.attempt) == [1])
            let status = broker.status("t@a")
            #expect((status.ready, status.delayed, status.dead) == (1, 1, 1))
            #expect(broker.status("t@b").ready == 4)
            #expect(broker.status("t@c").ready == 0)
        }
        for number in 1...4 as ClosedRange<UInt64> {
            let entry = broker.state.messages[id(number)]!
            let payload = try #require(broker.journal.payload(at: entry.position))
            let message = try FactCodec.message(in: payload, at: Int(entry.offset))
            #expect(message.id == id(number))
            #expect(message.body == body)
            #expect(message.priority == 6)
        }
        broker.subscribe("t@b", credit: 10)
        #expect(broker.deliveredIDs("t@b") == (1...4).map { id($0) })
        broker.pass(milliseconds: 900_000)
        let retry = broker.pop("t@a", session: 2)
        #expect([retry?.id, broker.pop("t@a", session: 2)?.id] == [id(1), id(4)])
        #expect(retry?.attempt == 2)
        #expect(retry?.lastError == "one")
    }

    @Test("Moved messages keep their place in the order, before and after a restart", arguments: [false, true])
    func order(restarts: Bool) throws {
        let broker = small()
        for _ in 0..<3 { broker.publish(broker.message("t", body: body)) }
        fill(broker, 200)
        try broker.shortenLog()
        for _ in 0..<3 { broker.publish("t") }
        if restarts { try broker.restart() }
        broker.subscribe("t", credit: 10)
        let expected = [1, 2, 3, 204, 205, 206].map { id($0) }
        #expect(broker.deliveredIDs("t") == expected)
    }

    @Test("A verdict that was logged before the move is not undone by it")
    func settledBeforeMove() throws {
        let broker = small()
        for _ in 0..<2 { broker.publish(broker.message("t", body: body)) }
        fill(broker, 100)
        _ = broker.pop("t", acknowledges: true)
        fill(broker, 100)
        try broker.shortenLog()
        try broker.restart()
        #expect(broker.pop("t")?.id == id(2))
        #expect(broker.pop("t") == nil)
    }

    @Test("A crash in the middle of a move loses and doubles nothing")
    func crashInTheMiddle() throws {
        for cut in 0..<6 {
            let broker = small()
            for _ in 0..<5 { broker.publish(broker.message("t", body: body)) }
            fill(broker, 200)
            let segment = broker.journal.firstSegment
            let before = broker.journal.end
            for record in broker.journal.records where record.position / broker.journal.segmentBytes == segment {
                _ = broker.state.restate(
                    try FactCodec.decode(record.payload), at: record.position, now: broker.now)
            }
            let added = broker.journal.records.map(\.position).filter { $0 >= before } + [broker.journal.end]
            try broker.restart(keepingBefore: added[min(cut, added.count - 1)])
            #expect(broker.state.disagreements() == [])
            try broker.shortenLog()
            try broker.restart()
            #expect(broker.status("t").ready == 5)
        }
    }

    @Test("On a full disk what is little moves within the reserve, and frees its segment")
    func fullDisk() throws {
        let broker = small()
        broker.publish(broker.message("t", body: body))
        fill(broker, 40)
        broker.journal.publishBytesFree = 0
        try broker.shortenLog()
        #expect(broker.journal.firstSegment == broker.journal.currentSegment)
        #expect(broker.pop("t")?.id == id(1))
    }

    @Test("A move without any space is tried again later, and nothing is lost")
    func noSpace() throws {
        let broker = small()
        broker.publish(broker.message("t", body: body))
        fill(broker, 200)
        broker.journal.appendsLeft = 0
        try broker.shortenLog()
        #expect(broker.journal.firstSegment == 0)
        broker.journal.appendsLeft = nil
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try broker.restart()
        #expect(broker.pop("t")?.id == id(1))
    }

    @Test("A commit of many messages moves in records that fit")
    func largeCommit() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 256 << 10))
        broker.journal.recordBytesMax = 64 << 10
        let many = (0..<50).map { _ in broker.message("t", body: body) }
        #expect(code(broker.send(.commit(publishes: many, settlements: []))) == nil)
        broker.subscribe("t", credit: 50)
        for delivery in broker.delivered {
            broker.settle(delivery.notice, .fail(error: String(repeating: "x", count: 1_000), afterMilliseconds: 1))
        }
        broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)))
        broker.pass(milliseconds: 1)
        fill(broker, 2_000)
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try broker.restart()
        #expect(broker.status("t").ready == 50)
        #expect(broker.pop("t")?.lastError?.count == 1_000)
    }

    @Test("Ids never start again, even when no message is left to tell")
    func ids() throws {
        let broker = small()
        fill(broker, 100)
        broker.send(.topicDelete(broker.topic("fill")))
        broker.publish("other")
        try broker.shortenLog()
        try broker.restart()
        #expect(broker.publish("other") == id(102))
        #expect(broker.state.topicsByName[broker.topic("other")]!.id.rawValue == 2)
    }

    @Test("A message with very many verdicts of subscriptions keeps all of them")
    func manySubscriptions() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 128 << 10))
        for number in 0..<20 { broker.send(.subscriptionCreate(broker.name("t@s\(number)"), .beginning)) }
        broker.publish(broker.message("t", body: body))
        for number in 0..<20 where number % 2 == 0 {
            broker.settle(broker.pop("t@s\(number)"), .reject(reason: "r\(number)"))
        }
        fill(broker, 1_000)
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try broker.restart()
        for number in 0..<20 {
            #expect(broker.dead("t@s\(number)").map(\.grave?.text) == (number % 2 == 0 ? ["rejected: r\(number)"] : []))
            #expect(broker.status("t@s\(number)").ready == (number % 2 == 0 ? 0 : 1))
        }
    }
}
