import BrokerProtocol
import Testing

@testable import Broker

/// Counts what the log is asked to take: a measure of work that no machine's speed changes.
@Suite("Work and space") struct WorkTests {
    private func settleAll(_ count: Int) throws -> (records: Int, bytes: UInt64, lanes: Int) {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 64 << 20))
        let names = ["t@a", "t@b", "t@c"]
        for name in names { broker.send(.subscriptionCreate(broker.name(name), .beginning)) }
        let batch = (0..<1_000).map { _ in broker.message("t") }
        for _ in 0..<count / 1_000 { broker.ask(.publish(batch)) }
        let state = broker.state
        let records = broker.journal.records.count
        let end = broker.journal.end
        for (index, name) in names.enumerated() {
            broker.ask(
                .subscribe(
                    consumer: ConsumerID(rawValue: UInt32(index)), subscription: broker.name(name), credit: 1_000,
                    start: .beginning, leaseMilliseconds: nil))
        }
        var rounds = 0
        while true {
            state.dispatch(now: broker.now)
            var leases: [LeaseID] = []
            for case .deliver(_, let notice) in state.effects.map(\.effect) { leases.append(notice.lease) }
            state.effects = []
            if leases.isEmpty { break }
            rounds += 1
            state.handle(
                .settle(leases.map { Settlement($0, .ack) }),
                from: Origin(session: SessionID(rawValue: 1), correlation: 0),
                now: broker.now)
        }
        #expect(rounds == count / 1_000)
        #expect(state.messages.count == 0)
        #expect(state.disagreements() == [])
        let topic = state.topicsByName[broker.topic("t")]!
        return (
            broker.journal.records.count - records, broker.journal.end - end, topic.lanes.reduce(0) { $0 + $1.count }
        )
    }

    /// Work that grows with the square of the backlog would take many minutes.
    @Test(
        "A backlog of 60,000 messages and three subscriptions settles with linear work and leaves nothing behind",
        .timeLimit(.minutes(1)))
    func linear() throws {
        let small = try settleAll(6_000)
        let large = try settleAll(60_000)
        #expect(large.records <= 11 * small.records)
        #expect(large.bytes <= 11 * small.bytes)
        #expect(large.bytes < 60_000)
        #expect(large.lanes <= Int(Topic.trimStep))
    }

    @Test(
        "A steady stream leaves no trace in the lanes, taken by lease, by pop, or in any order", arguments: [0, 1, 2])
    func steadyStream(way: Int) throws {
        let broker = StateHarness()
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        if way == 0 { broker.subscribe("t@a", credit: 7) }
        for _ in 0..<1_000 {
            broker.ask(.publish([broker.message("t"), broker.message("t", priority: 7), broker.message("t")]))
            switch way {
            case 0:
                broker.state.dispatch(now: broker.now)
                let leases = broker.state.leases.keys.sorted(by: >)
                broker.state.effects = []
                broker.ask(.settle(leases.map { Settlement($0, .ack) }))
            default:
                for _ in 0..<3 {
                    broker.ask(.pop([broker.name("t@a")], timeoutMilliseconds: 0, acknowledges: way == 1))
                }
                broker.ask(.settle(broker.state.leases.keys.sorted().map { Settlement($0, .ack) }))
            }
        }
        let topic = broker.state.topicsByName[broker.topic("t")]!
        #expect(topic.lanes.reduce(0) { $0 + $1.count } <= 2 * Int(Topic.trimStep))
        #expect(broker.state.messages.count == 0)
        try broker.restart()
        let replayed = broker.state.topicsByName[broker.topic("t")]!
        #expect(replayed.lanes.reduce(0) { $0 + $1.count } <= 2 * Int(Topic.trimStep))
    }
}
