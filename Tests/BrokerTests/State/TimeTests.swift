import BrokerProtocol
import Testing

@testable import Broker

@Suite("Time") struct TimeTests {
    @Test("A message is delivered at its deliver-at and not before")
    func deliverAt() {
        let broker = StateHarness()
        broker.subscribe("t")
        broker.publish(broker.message("t", deliverAt: broker.later(1_000)))
        broker.pass(milliseconds: 999)
        #expect(broker.delivered.isEmpty)
        #expect(broker.status("t").delayed == 1)
        broker.pass(milliseconds: 1)
        #expect(broker.deliveredIDs("t") == [id(1)])
    }

    @Test("A deliver-at in the past delivers at once")
    func past() {
        let broker = StateHarness()
        broker.subscribe("t")
        broker.publish(broker.message("t", deliverAt: broker.now.wall))
        #expect(broker.delivered.count == 1)
    }

    @Test("Messages that become due together come by priority and publish order")
    func dueTogether() {
        let broker = StateHarness()
        broker.publish(broker.message("t", deliverAt: broker.later(30)))
        broker.publish(broker.message("t", deliverAt: broker.later(10)))
        broker.publish(broker.message("t", priority: 5, deliverAt: broker.later(20)))
        broker.publish("t")
        broker.pass(milliseconds: 30)
        broker.subscribe("t")
        #expect(broker.deliveredIDs("t") == [3, 1, 2, 4].map { id($0) })
    }

    @Test("A jump of the wall clock ends no lease and lets none live longer", arguments: [-1, 1] as [Int64])
    func leasesKeepTheirTime(sign: Int64) {
        let broker = StateHarness()
        broker.subscribe("t", lease: 10_000)
        broker.publish("t")
        broker.move(monotonic: 9_999, wall: sign * 365 * 86_400_000)
        #expect(broker.status("t").leased == 1)
        broker.move(monotonic: 1, wall: sign * 1_000)
        #expect(broker.status("t").leased == 0)
    }

    @Test("A jump of the wall clock neither sends retries early nor holds them up", arguments: [-1, 1] as [Int64])
    func retriesKeepTheirTime(sign: Int64) {
        let broker = StateHarness()
        broker.subscribe("t")
        broker.publish("t")
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 10_000))
        broker.move(monotonic: 9_999, wall: sign * 365 * 86_400_000)
        #expect(broker.delivered.count == 1)
        #expect(broker.state.nextDeadline(now: broker.now) == 1)
        broker.move(monotonic: 1, wall: 0)
        #expect(broker.delivered.count == 2)
    }

    @Test("A delayed message follows a jump of the wall clock, and none is lost")
    func delayedFollows() {
        let broker = StateHarness()
        broker.subscribe("t")
        let at = broker.later(10_000)
        broker.publish(broker.message("t", deliverAt: at))
        broker.move(monotonic: 20_000, wall: -3_600_000)
        #expect(broker.delivered.isEmpty)
        #expect(broker.state.nextDeadline(now: broker.now) == 1_000)
        broker.move(monotonic: 1, wall: 3_610_000)
        #expect(broker.delivered.count == 1)
    }

    @Test("Expiry follows the wall clock, at the delivery")
    func expiry() {
        let broker = StateHarness()
        broker.publish(broker.message("t", expiresAt: broker.later(1_000)))
        broker.move(monotonic: 0, wall: 999)
        let first = broker.pop("t")
        #expect(first?.id == id(1))
        broker.settle(first, .fail(error: "once", afterMilliseconds: 0))
        broker.move(monotonic: 1, wall: 1)
        #expect(broker.pop("t") == nil)
        #expect(broker.dead("t").map(\.grave?.text) == ["expired"])
        #expect(broker.dead("t").map(\.lastError) == ["once"])
    }

    @Test("The next deadline is the earliest of leases, waits and delays, and never below zero")
    func nextDeadline() {
        let broker = StateHarness()
        func next() -> Int64? { broker.state.nextDeadline(now: broker.now) }
        #expect(next() == nil)
        broker.subscribe("t", lease: 5_000)
        broker.publish("t")
        #expect(next() == 5_000)
        _ = broker.wait("u", timeout: 3_000)
        #expect(next() == 3_000)
        broker.publish(broker.message("u", deliverAt: broker.later(400)))
        #expect(next() == 400)
        broker.now.monotonic += 9_000
        #expect(next() == 0)
    }

    @Test("A retry that waited across a restart keeps its time")
    func restart() throws {
        let broker = StateHarness()
        broker.subscribe("t")
        broker.publish("t")
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 10_000))
        broker.publish(broker.message("t", deliverAt: broker.later(20_000)))
        try broker.restart()
        broker.subscribe("t")
        broker.pass(milliseconds: 9_999)
        #expect(broker.delivered.count == 1)
        broker.pass(milliseconds: 1)
        #expect(broker.delivered.count == 2)
        broker.pass(milliseconds: 10_000)
        #expect(broker.delivered.count == 3)
    }
}
