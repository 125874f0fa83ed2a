import BrokerProtocol
import Testing

@testable import Broker

@Suite("History in the log") struct LogClockTests {
    private let body = [UInt8](repeating: 7, count: 1_000)

    private func keeping(_ milliseconds: Int64, bytes: UInt64 = 1 << 30) -> StateHarness {
        var limits = StateLimits()
        limits.historyMilliseconds = milliseconds
        limits.historyBytesMax = bytes
        return StateHarness(limits: limits, journal: MemoryJournal(segmentBytes: 16 << 10))
    }

    private func fill(_ broker: StateHarness, _ count: Int) throws {
        for _ in 0..<count {
            broker.publish(broker.message("t", body: body))
            _ = broker.pop("t", acknowledges: true)
            broker.pass(milliseconds: 100)
        }
        try broker.shortenLog()
    }

    private func facts(_ broker: StateHarness) throws -> [Fact] {
        try broker.journal.records.flatMap { try FactCodec.decode($0.payload).map(\.fact) }
    }

    @Test("The log tells the time, and who got what, while history is kept")
    func times() throws {
        let broker = keeping(60_000)
        broker.subscribe("t@email")
        let sent = broker.publish("t")
        let handedAt = broker.now.wall
        broker.pass(milliseconds: 500)
        broker.settle(broker.last, .ack)
        let facts = try facts(broker)
        let handed = Fact.handed(SubscriptionID(rawValue: 1), [sent], consumer: "session-1")
        let handedIndex = try #require(facts.firstIndex(of: handed))
        let before = facts[..<handedIndex].last { if case .clocked = $0 { true } else { false } }
        #expect(before == .clocked(handedAt))
        let acked = try #require(facts.firstIndex(of: .acknowledged(SubscriptionID(rawValue: 1), [sent])))
        #expect(facts[acked - 1] == .clocked(handedAt.adding(milliseconds: 500)))
    }

    @Test("Without history the log tells neither")
    func off() throws {
        let broker = keeping(0)
        broker.subscribe("t@email")
        let sent = broker.publish("t")
        let facts = try facts(broker)
        #expect(facts.contains(.attempted(SubscriptionID(rawValue: 1), [sent])))
        #expect(!facts.contains { if case .clocked = $0 { true } else { false } })
    }

    @Test("Every segment begins with a time")
    func segmentsBegin() throws {
        let broker = keeping(3_600_000)
        try fill(broker, 60)
        var seen: Set<UInt64> = []
        for record in broker.journal.records where seen.insert(record.position / broker.journal.segmentBytes).inserted {
            if record.position / broker.journal.segmentBytes == 0 { continue }
            let facts = try FactCodec.decode(record.payload).map(\.fact)
            #expect(facts.prefix(2).contains { if case .clocked = $0 { true } else { false } })
        }
        #expect(seen.count > 3)
    }

    @Test("A segment that nothing needs stays until its history is over, and goes then")
    func retention() throws {
        let broker = keeping(20_000)
        try fill(broker, 60)
        #expect(broker.journal.firstSegment == 0)
        broker.pass(milliseconds: 16_000)
        try broker.shortenLog()
        #expect((1..<broker.journal.currentSegment).contains(broker.journal.firstSegment))
        broker.pass(milliseconds: 20_000)
        try broker.shortenLog()
        #expect(broker.journal.firstSegment == broker.journal.currentSegment)
    }

    @Test("The bound on bytes wins over the time")
    func bytes() throws {
        let broker = keeping(3_600_000, bytes: 32 << 10)
        try fill(broker, 100)
        #expect(broker.journal.currentSegment - broker.journal.firstSegment == 2)
    }

    @Test("A full disk takes the history before it refuses a publish")
    func fullDisk() throws {
        let broker = keeping(3_600_000)
        try fill(broker, 60)
        #expect(broker.journal.firstSegment == 0)
        broker.journal.publishBytesFree = Int(3 * broker.journal.segmentBytes)
        try broker.shortenLog()
        #expect(broker.journal.firstSegment == broker.journal.currentSegment)
    }

    @Test("History is kept over a restart, with the same end")
    func restart() throws {
        let broker = keeping(20_000)
        try fill(broker, 60)
        try broker.restart()
        try broker.shortenLog()
        #expect(broker.journal.firstSegment == 0)
        broker.pass(milliseconds: 30_000)
        try broker.shortenLog()
        #expect(broker.journal.firstSegment == broker.journal.currentSegment)
        #expect(broker.status("t").ready == 0)
    }

    @Test("A history has 1 to 10000 events")
    func limits() {
        let broker = keeping(0)
        for limit in [0, 10_001] as [UInt32] {
            #expect(code(broker.send(.history(.message(id(1)), limit: limit))) == .batchTooLarge)
        }
    }
}
