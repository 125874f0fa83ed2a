import BrokerProtocol
import Testing

@testable import Broker

@Suite("Leases") struct LeaseTests {
    private func leased(_ lease: Int64? = nil) -> StateHarness {
        let broker = StateHarness()
        broker.subscribe("t", credit: 1, lease: lease)
        broker.publish("t")
        return broker
    }

    @Test(
        "A settled lease is lost for every later verdict, and nothing changes",
        arguments: [
            Verdict.ack, .fail(error: "late"), .release(), .reject(reason: "late"),
        ])
    func settledTwice(second: Verdict) {
        let broker = leased()
        #expect(broker.settle(broker.last, .fail(error: "first", afterMilliseconds: 60_000)) == nil)
        let before = broker.status("t")
        let end = broker.journal.end
        #expect(broker.settle(broker.last, second) == .leaseLost)
        #expect(broker.status("t") == before)
        #expect(broker.journal.end == end)
    }

    @Test("A lease ends exactly at its deadline")
    func deadline() {
        let broker = leased(1_000)
        broker.now.monotonic += 999
        #expect(broker.extend(broker.last, 1_000) == nil)
        broker.now.monotonic += 1_000
        #expect(broker.settle(broker.last, .ack) == .leaseLost)
        #expect(broker.extend(broker.last, 1_000) == .leaseLost)
        broker.state.advance(now: broker.now)
        #expect(broker.status("t").leased == 0)
        #expect(broker.status("t").delayed == 1)
    }

    @Test("A lease belongs to its session alone")
    func foreign() {
        let broker = leased()
        #expect(broker.settle(broker.last, .ack, 2) == .leaseLost)
        #expect(broker.extend(broker.last, 1_000, 2) == .leaseLost)
        #expect(broker.settle(broker.last, .ack, 1) == nil)
    }

    @Test("The lease of an older delivery settles nothing of the newer one")
    func stale() {
        let broker = leased()
        let old = broker.last
        #expect(broker.settle(old, .fail(error: "x", afterMilliseconds: 0)) == nil)
        broker.pass(milliseconds: 1)
        #expect(broker.delivered.count == 2)
        #expect(broker.settle(old, .ack) == .leaseLost)
        #expect(broker.status("t").leased == 1)
        #expect(broker.settle(broker.last, .ack) == nil)
    }

    @Test("One lease twice in one request settles once and refuses once")
    func twiceInOneRequest() {
        let broker = leased()
        let lease = broker.last!.lease
        let response = broker.send(.settle([Settlement(lease, .ack), Settlement(lease, .fail(error: "x"))]))
        guard case .settled(let results)? = response else { return #expect(Bool(false)) }
        #expect(results.map { $0?.code } == [nil, .leaseLost])
        #expect(broker.status("t").acknowledged == 1)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A lost lease refuses its own item alone")
    func batch() {
        let broker = StateHarness()
        broker.subscribe("t")
        for _ in 0..<3 { broker.publish("t") }
        var leases = broker.delivered.map(\.notice.lease)
        leases[1] = LeaseID(rawValue: 99)
        guard case .settled(let results)? = broker.send(.settle(leases.map { Settlement($0, .ack) })) else {
            return #expect(Bool(false))
        }
        #expect(results.map { $0?.code } == [nil, .leaseLost, nil])
        #expect(broker.status("t").leased == 1)
    }

    @Test("Extensions end at the total time of a lease, however often they are asked for")
    func bound() {
        let broker = StateHarness()
        broker.configure("t") {
            $0.delivery.leaseMilliseconds = 10_000
            $0.delivery.leaseTotalMilliseconds = 25_000
        }
        broker.subscribe("t", credit: 1)
        broker.publish("t")
        for _ in 0..<2 {
            broker.pass(milliseconds: 9_000)
            #expect(broker.extend(broker.last, 10_000) == nil)
        }
        broker.pass(milliseconds: 6_999)
        #expect(broker.status("t").leased == 1)
        broker.pass(milliseconds: 1)
        #expect(broker.status("t").leased == 0)
    }

    @Test("The first lease is bounded by the total time as well")
    func firstBound() {
        let broker = StateHarness()
        broker.configure("t") {
            $0.delivery.leaseMilliseconds = 1_000
            $0.delivery.leaseTotalMilliseconds = 2_000
        }
        broker.subscribe("t", credit: 1, lease: 60_000)
        broker.publish("t")
        #expect(broker.last?.leaseMilliseconds == 2_000)
        broker.pass(milliseconds: 2_000)
        #expect(broker.status("t").leased == 0)
    }

    @Test("An extension is 100 ms to 12 h", arguments: [-1, 0, 99, 43_200_001, Int64.max])
    func extensionRange(milliseconds: Int64) {
        let broker = leased()
        #expect(broker.extend(broker.last, milliseconds) == .settingInvalid)
    }

    @Test("An extension without total time left is refused and changes nothing")
    func usedUp() {
        let broker = leased()
        broker.pass(milliseconds: 20_000)
        broker.configure("t") {
            $0.delivery.leaseMilliseconds = 1_000
            $0.delivery.leaseTotalMilliseconds = 10_000
        }
        #expect(broker.extend(broker.last, 5_000) == .leaseLost)
        #expect(broker.settle(broker.last, .ack) == nil)
    }

    @Test("Extending again and again keeps one deadline per lease")
    func deadlinesDoNotPileUp() {
        let broker = leased()
        let lease = broker.last!.lease
        broker.send(.extend(Array(repeating: lease, count: 10_000), milliseconds: 5_000))
        #expect(broker.state.leaseDeadlines.count <= 3)
    }

    @Test("Lease ids are never used twice, not even across a restart")
    func unique() throws {
        let broker = leased()
        let old = broker.last!.lease
        try broker.restart()
        broker.subscribe("t", credit: 1)
        #expect(broker.last!.lease > old)
        #expect(broker.settle(broker.delivered[0].notice, .ack) == .leaseLost)
    }

    @Test("A lost connection ends its leases and leaves those of others alone")
    func lostConnection() {
        let broker = StateHarness()
        broker.subscribe("t", 1, credit: 1)
        broker.subscribe("t", 2, credit: 1)
        for _ in 0..<2 { broker.publish("t") }
        broker.close(1)
        #expect(broker.status("t").leased == 1)
        #expect(broker.status("t").delayed == 1)
        #expect(broker.settle(broker.last, .ack, 2) == nil)
        #expect(broker.state.disagreements() == [])
    }

    @Test("Leases outlive their consumer")
    func unsubscribed() {
        let broker = leased()
        broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)))
        #expect(broker.settle(broker.last, .ack) == nil)
        #expect(broker.state.disagreements() == [])
    }

    @Test("Deleting a subscription ends its leases and its consumers")
    func deletedUnderLease() {
        let broker = leased()
        let pop = broker.wait("t", session: 2)
        #expect(broker.send(.subscriptionDelete(broker.name("t"))) == .done)
        #expect(broker.settle(broker.last, .ack) == .leaseLost)
        #expect(code(broker.response(pop)) == .subscriptionUnknown)
        let ends = broker.effects.filter { if case .endConsumer = $0.effect { true } else { false } }
        #expect(ends.count == 1)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A delete that the disk refuses leaves leases and consumers as they were")
    func deleteRefused() {
        let broker = leased()
        broker.journal.appendsLeft = 0
        #expect(code(broker.send(.subscriptionDelete(broker.name("t")))) == .diskFull)
        #expect(code(broker.send(.topicDelete(broker.topic("t")))) == .diskFull)
        #expect(broker.state.disagreements() == [])
        broker.journal.appendsLeft = nil
        #expect(broker.settle(broker.last, .ack) == nil)
        broker.publish("t")
        #expect(broker.delivered.count == 2)
    }
}
