import BrokerProtocol
import Testing

@testable import Broker

@Suite("Reschedule") struct RescheduleTests {
    @discardableResult
    private func reschedule(_ broker: StateHarness, _ ids: [UInt64], _ time: WallTime) -> [BrokerError.Code?] {
        guard case .settled(let results)? = broker.send(.reschedule(ids.map { id($0) }, time)) else { return [] }
        return results.map { $0?.code }
    }

    @Test("A fresh message leaves its row and comes back to its place in publish order", arguments: [false, true])
    func fresh(restarts: Bool) throws {
        let broker = StateHarness()
        for _ in 0..<3 { broker.publish("t") }
        #expect(reschedule(broker, [1], broker.later(10_000)) == [nil])
        if restarts { try broker.restart() }
        #expect(broker.status("t").delayed == 1)
        broker.pass(milliseconds: 9_999)
        #expect(broker.pop("t")?.id == id(2))
        broker.pass(milliseconds: 1)
        #expect([broker.pop("t")?.id, broker.pop("t")?.id] == [id(1), id(3)])
        #expect(broker.state.disagreements() == [])
    }

    @Test("A delayed message comes earlier or later, and a time in the past means now")
    func delayed() {
        let broker = StateHarness()
        broker.subscribe("t")
        for _ in 0..<3 { broker.publish(broker.message("t", deliverAt: broker.later(10_000))) }
        reschedule(broker, [1], broker.later(1_000))
        reschedule(broker, [2], broker.later(20_000))
        reschedule(broker, [3], WallTime(milliseconds: 0))
        #expect(broker.deliveredIDs("t") == [id(3)])
        broker.pass(milliseconds: 1_000)
        #expect(broker.deliveredIDs("t") == [3, 1].map { id($0) })
        broker.pass(milliseconds: 18_999)
        #expect(broker.delivered.count == 2)
        broker.pass(milliseconds: 1)
        #expect(broker.deliveredIDs("t") == [3, 1, 2].map { id($0) })
    }

    @Test("A message that waits for its retry keeps its attempts, and the wall clock rules from then on")
    func retry() throws {
        let broker = StateHarness()
        broker.publish("t")
        broker.settle(broker.pop("t"), .fail(error: "x", afterMilliseconds: 600_000))
        #expect(reschedule(broker, [1], broker.later(5_000)) == [nil])
        try broker.restart()
        broker.move(monotonic: 0, wall: 5_000)
        let again = broker.pop("t")
        #expect(again?.attempt == 2)
        #expect(again?.lastError == "x")
    }

    @Test("Every subscription waits, the dead letter stays dead, and a new subscription waits as well")
    func subscriptions() throws {
        let broker = StateHarness()
        for name in ["t@a", "t@b", "t@c"] { broker.send(.subscriptionCreate(broker.name(name), .beginning)) }
        broker.publish("t")
        broker.settle(broker.pop("t@a"), .ack)
        broker.settle(broker.pop("t@b"), .reject(reason: "no"))
        #expect(reschedule(broker, [1], broker.later(5_000)) == [nil])
        broker.send(.subscriptionCreate(broker.name("t@d"), .beginning))
        for _ in 0..<2 {
            #expect(broker.status("t@a").delayed == 0)
            #expect(broker.dead("t@b").count == 1)
            #expect(broker.status("t@c").delayed == 1)
            #expect(broker.status("t@d").delayed == 1)
            #expect(broker.state.disagreements() == [])
            try broker.restart()
        }
        broker.pass(milliseconds: 5_000)
        #expect(broker.pop("t@c")?.id == id(1))
        #expect(broker.pop("t@d")?.id == id(1))
        #expect(broker.pop("t@a") == nil)
    }

    @Test("A held message can be rescheduled, and the key goes on without it")
    func held() {
        let broker = StateHarness()
        broker.subscribe("t", credit: 10)
        for _ in 0..<3 { broker.publish(OutgoingMessage(topic: broker.topic("t"), body: [], orderingKey: "k")) }
        #expect(reschedule(broker, [2], broker.later(5_000)) == [nil])
        broker.settle(broker.last, .ack)
        #expect(broker.deliveredIDs("t") == [1, 3].map { id($0) })
        #expect(broker.state.disagreements() == [])
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 60_000))
        #expect(reschedule(broker, [3], broker.later(8_000)) == [nil])
        broker.pass(milliseconds: 5_000)
        #expect(broker.last?.id == id(2))
        broker.pass(milliseconds: 3_000)
        #expect(broker.last?.id == id(2))
        broker.settle(broker.last, .ack)
        #expect(broker.last?.id == id(3))
        #expect(broker.state.disagreements() == [])
    }

    @Test("A redriven message that is rescheduled leaves its key parked, before and after a restart")
    func parked() throws {
        let broker = StateHarness()
        broker.configure("t") { $0.delivery.parksAfterDead = true }
        for _ in 0..<2 { broker.publish(OutgoingMessage(topic: broker.topic("t"), body: [], orderingKey: "k")) }
        broker.settle(broker.pop("t"), .reject(reason: "no"))
        broker.send(.deadRedrive(broker.name("t"), [id(1)]))
        #expect(reschedule(broker, [1], broker.later(5_000)) == [nil])
        #expect(broker.pop("t") == nil)
        try broker.restart()
        #expect(broker.pop("t") == nil)
        broker.pass(milliseconds: 5_000)
        let first = broker.pop("t")
        #expect(first?.id == id(1))
        broker.settle(first, .ack)
        #expect(broker.pop("t")?.id == id(2))
        #expect(broker.state.disagreements() == [])
    }

    @Test("Leased, unknown and too many are refused, each alone")
    func refusals() {
        var limits = StateLimits()
        limits.delayedMax = 1
        let broker = StateHarness(limits: limits)
        for _ in 0..<3 { broker.publish("t") }
        _ = broker.pop("t")
        let results = reschedule(broker, [1, 2, 3, 9], broker.later(1_000))
        #expect(results == [.messageLeased, nil, .delayedLimit, .messageUnknown])
        #expect(reschedule(broker, [2], broker.later(2_000)) == [nil])
        #expect(reschedule(broker, [3], WallTime(milliseconds: 1)) == [nil])
    }

    @Test("What is left for acks is not spent on it")
    func diskFull() {
        let broker = StateHarness()
        broker.publish("t")
        broker.journal.bytesFree = 100
        #expect(reschedule(broker, [1], broker.later(1_000)) == [.diskFull])
        #expect(broker.pop("t")?.id == id(1))
    }

    @Test("The new time survives the move of the message in the log")
    func restated() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 16 << 10))
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        broker.send(.subscriptionCreate(broker.name("t@b"), .beginning))
        broker.publish("t")
        broker.settle(broker.pop("t@a"), .fail(error: "x", afterMilliseconds: 0))
        broker.pass(milliseconds: 1)
        broker.settle(broker.pop("t@a"), .fail(error: "y", afterMilliseconds: 1_000))
        #expect(reschedule(broker, [1], broker.later(3_600_000)) == [nil])
        for _ in 0..<200 {
            broker.publish(broker.message("fill", body: [UInt8](repeating: 7, count: 1_000)))
            _ = broker.pop("fill", acknowledges: true)
        }
        let address = broker.state.messages[id(1)]?.address
        try broker.shortenLog()
        #expect(broker.state.messages[id(1)]?.address != address)
        try broker.restart()
        #expect(broker.state.disagreements() == [])
        #expect(broker.status("t@a").delayed == 1)
        #expect(broker.status("t@b").delayed == 1)
        // By the wall clock, as any deliver-at.
        broker.move(monotonic: 0, wall: 3_599_999)
        #expect(broker.pop("t@a") == nil)
        broker.move(monotonic: 0, wall: 1)
        #expect(broker.pop("t@a")?.attempt == 3)
        #expect(broker.pop("t@b")?.attempt == 1)
    }

    @Test("The delay counts from the broker's clock, the later of both times wins, and any horizon holds")
    func delay() throws {
        let broker = StateHarness()
        func publish(_ delay: Int64?, _ at: WallTime?) {
            broker.publish(
                OutgoingMessage(topic: broker.topic("t"), body: [], deliverAt: at, delayMilliseconds: delay))
        }
        publish(1_000, nil)
        publish(1_000, broker.later(3_000))
        publish(4_000, broker.later(3_000))
        publish(0, nil)
        publish(0, broker.later(-5))
        publish(.max, nil)
        publish(50 * 365 * 86_400_000, nil)
        try broker.restart()
        broker.subscribe("t")
        #expect(broker.deliveredIDs("t") == [4, 5].map { id($0) })
        for (milliseconds, expected) in [(999, 2), (1, 3), (1_999, 3), (1, 4), (999, 4), (1, 5)] as [(Int64, Int)] {
            broker.pass(milliseconds: milliseconds)
            #expect(broker.delivered.count == expected)
        }
        #expect(broker.deliveredIDs("t") == [4, 5, 1, 2, 3].map { id($0) })
        broker.move(monotonic: 0, wall: 50 * 365 * 86_400_000)
        #expect(broker.deliveredIDs("t").last == id(7))
        #expect(broker.status("t").delayed == 1)
    }

    @Test("Messages of different milliseconds come in the order of their times, those of one by id")
    func order() {
        let broker = StateHarness()
        broker.subscribe("t")
        for delay in [3, 1, 2, 1] as [Int64] {
            broker.publish(OutgoingMessage(topic: broker.topic("t"), body: [], delayMilliseconds: delay))
        }
        for _ in 0..<3 { broker.pass(milliseconds: 1) }
        #expect(broker.deliveredIDs("t") == [2, 4, 3, 1].map { id($0) })
    }
}
