import BrokerProtocol
import Testing

@testable import Broker

/// Redrives and purges of chosen dead letters.
@Suite("Chosen dead letters") struct DeadSweepTests {
    /// Dead letters 1 and 3 by rejection, 2 and 4 by attempts; each has the header `n` and, if odd, the key `odd`.
    private func broker() -> StateHarness {
        let broker = StateHarness()
        broker.configure("t") { $0.delivery.attemptsMax = 1 }
        broker.subscribe("t", credit: 1)
        for number in 1...4 {
            var message = broker.message("t")
            message.headers = [Header("n", "\(number)"), Header("all", "yes")]
            message.orderingKey = number % 2 == 1 ? "odd" : nil
            broker.publish(message)
            broker.settle(
                broker.last, number % 2 == 1 ? .reject(reason: "bad \(number)") : .fail(error: "smtp 45\(number)"))
            broker.pass(milliseconds: 1_000)
        }
        broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)))
        return broker
    }

    /// A purge's dry run, the purge, and what is left.
    private func purged(_ change: (inout DeadSelection, StateHarness) -> Void) -> [UInt64] {
        let broker = broker()
        var selection = DeadSelection()
        change(&selection, broker)
        selection.isDryRun = true
        let count = broker.send(.deadPurge(broker.name("t"), selection))
        #expect(broker.dead("t").count == 4)
        selection.isDryRun = false
        #expect(broker.send(.deadPurge(broker.name("t"), selection)) == count)
        let left = broker.dead("t").map(\.id.rawValue)
        #expect(count == .count(UInt64(4 - left.count)))
        #expect(broker.state.disagreements() == [])
        return left
    }

    @Test("Reason, error, header, key, time of death and limit choose, and all must hold")
    func filters() {
        #expect(purged { selection, _ in selection.reasons = [.rejected] } == [2, 4])
        #expect(purged { selection, _ in selection.reasons = [.poison] } == [1, 2, 3, 4])
        #expect(purged { selection, _ in selection.errorContains = "452" } == [1, 3, 4])
        #expect(purged { selection, _ in selection.errorContains = "bad 3" } == [1, 2, 4])
        #expect(purged { selection, _ in selection.headers = [Header("n", "2"), Header("all", "yes")] } == [1, 3, 4])
        #expect(
            purged { selection, _ in selection.headers = [Header("n", "2"), Header("all", "no")] } == [1, 2, 3, 4])
        #expect(purged { selection, _ in selection.orderingKey = "odd" } == [2, 4])
        #expect(purged { selection, broker in selection.diedFrom = broker.later(-2_000) } == [1, 2])
        #expect(purged { selection, broker in selection.diedBefore = broker.later(-2_000) } == [3, 4])
        #expect(purged { selection, _ in selection.limit = 3 } == [4])
        #expect(purged { selection, _ in selection.ids = [id(4), id(1), id(4)] } == [2, 3])
        #expect(
            purged { selection, _ in
                selection.ids = [id(1), id(2)]
                selection.reasons = [.rejected]
            } == [2, 3, 4])
    }

    @Test("A chosen redrive survives a restart and touches nothing else")
    func redrive() throws {
        let broker = broker()
        var selection = DeadSelection()
        selection.headers = [Header("n", "3")]
        #expect(broker.send(.deadRedrive(broker.name("t"), selection)) == .count(1))
        try broker.restart()
        #expect(broker.dead("t").map(\.id.rawValue) == [1, 2, 4])
        broker.subscribe("t", credit: 1)
        #expect(broker.last?.id == id(3))
        #expect(broker.last?.redrives == 1)
    }

    @Test("Too many ids, unknown ones, and an unknown subscription are refused; nothing changes")
    func refusals() {
        let broker = broker()
        let many = DeadSelection(ids: (0...UInt64(DeadSelection.idsMax)).map { id($0) })
        #expect(code(broker.send(.deadPurge(broker.name("t"), many))) == .batchTooLarge)
        #expect(code(broker.send(.deadPurge(broker.name("t"), [id(1), id(9)]))) == .messageUnknown)
        #expect(code(broker.send(.deadPurge(broker.name("t@x"), []))) == .subscriptionUnknown)
        #expect(broker.dead("t").count == 4)
    }

    /// So many messages that were rejected, each with the header `n`.
    private func many(_ count: Int) -> StateHarness {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 256 << 20))
        broker.subscribe("t", credit: 10_000)
        var settled = 0
        for _ in 0..<max(count / 10_000, 1) {
            let batch = (0..<min(count, 10_000)).map { number in
                var message = broker.message("t")
                message.headers = [Header("n", "\(number)")]
                return message
            }
            broker.send(.publish(batch))
            broker.send(
                .settle(broker.delivered.dropFirst(settled).map { Settlement($0.notice.lease, .reject(reason: "x")) }))
            settled += batch.count
        }
        broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)))
        return broker
    }

    @Test(
        "One turn looks at 10,000 letters at most, or reads some hundred, however many there are",
        arguments: [1_000, 100_000])
    func work(count: Int) throws {
        let broker = many(count)
        let subscription = try #require(broker.state.subscription(named: broker.name("t")))
        #expect(subscription.dead.count == count)
        let plain = try broker.state.scan(
            subscription, DeadSelection(), from: id(0), before: .max, atMost: .max)
        #expect(plain.looked == min(count, 10_000))
        #expect(plain.isOver == (count < 10_000))
        var selection = DeadSelection()
        selection.headers = [Header("n", "nobody")]
        let reading = try broker.state.scan(subscription, selection, from: id(0), before: .max, atMost: .max)
        #expect((100...250).contains(reading.looked))
        #expect(!reading.isOver)
        // A few ids touch those few.
        let named = try broker.state.scan(
            subscription, [id(5), id(900)], from: id(0), before: .max, atMost: .max)
        #expect(named.looked == 2)
    }

    @Test("A sweep of many turns answers at its end; what dies meanwhile is not part of it, others go on between")
    func turns() throws {
        let broker = many(20_000)
        let records = broker.journal.records.count
        broker.ask(.deadPurge(broker.name("t"), []))
        #expect(broker.status("t").dead == 10_000)
        #expect(broker.state.sweeps.count == 1)
        #expect(broker.state.nextDeadline(now: broker.now) == 0)
        broker.ask(.publish([broker.message("t")]))
        broker.ask(.pop([broker.name("t")], timeoutMilliseconds: 0, acknowledges: false))
        let lease = try #require(broker.state.leases.keys.first)
        broker.ask(.settle([Settlement(lease, .reject(reason: "late"))]))
        broker.turn()
        #expect(broker.state.sweeps.isEmpty)
        #expect(broker.dead("t").map(\.id.rawValue) == [20_001])
        #expect(broker.journal.records.count == records + 5)
        #expect(broker.effects.contains { if case .respond(_, .count(20_000)) = $0.effect { true } else { false } })
    }

    @Test("A sweep whose subscription is deleted on the way is refused") func deleted() {
        let broker = many(20_000)
        broker.ask(.deadPurge(broker.name("t"), []))
        broker.ask(.topicDelete(broker.topic("t")))
        broker.turn()
        #expect(broker.state.sweeps.isEmpty)
        let codes = broker.effects.compactMap { pending -> BrokerError.Code? in
            if case .respond(_, let response) = pending.effect { code(response) } else { nil }
        }
        #expect(codes == [.subscriptionUnknown])
    }
}
