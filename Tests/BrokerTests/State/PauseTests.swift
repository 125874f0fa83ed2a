import BrokerProtocol
import Testing

@testable import Broker

@Suite("Pauses") struct PauseTests {
    private func pause(
        _ broker: StateHarness, _ target: String, _ scope: PauseScope, until: WallTime? = nil
    ) -> BrokerError.Code? {
        code(broker.send(.pause(PauseTarget(target)!, scope, until: until)))
    }

    private func resume(_ broker: StateHarness, _ target: String, _ scope: PauseScope) -> BrokerError.Code? {
        code(broker.send(.resume(PauseTarget(target)!, scope)))
    }

    private func figures(_ broker: StateHarness, _ topic: String) -> [Figure] {
        broker.state.topicStatuses().first { $0.name == broker.topic(topic) }?.figures
            .filter { $0.name.hasPrefix("intake") || $0.name.hasPrefix("delivery") } ?? []
    }

    @Test("Paused intake refuses publishes and says until when; deliveries go on", arguments: [false, true])
    func intake(restarts: Bool) throws {
        let broker = StateHarness()
        broker.publish("t")
        #expect(pause(broker, "t", .intake, until: broker.later(60_000)) == nil)
        if restarts { try broker.restart() }
        let refused = broker.publish(broker.message("t"))
        #expect(
            refused == [
                .failure(
                    BrokerError(.topicPaused, "the intake of t is paused until \(broker.later(60_000).utcText)"))
            ])
        #expect(code(broker.send(.commit(publishes: [broker.message("t")], settlements: []))) == .topicPaused)
        #expect(broker.pop("t")?.id == id(1))
        #expect(figures(broker, "t").map(\.name) == ["intake_paused", "intake_paused_until"])
        #expect(resume(broker, "t", .both) == nil)
        #expect(broker.publish("t") == id(2))
        #expect(figures(broker, "t") == [])
    }

    @Test("A repeated publish is answered while the intake is paused")
    func duplicate() {
        let broker = StateHarness()
        broker.publish(broker.message("t", dedup: "d"))
        #expect(pause(broker, "t", .intake) == nil)
        #expect(
            broker.publish(broker.message("t", dedup: "d")) == [.success(PublishReceipt(id: id(1), isDuplicate: true))])
        #expect(code(.published(broker.publish(broker.message("t", dedup: "e")))) == .topicPaused)
    }

    @Test("Paused delivery hands out nothing, lets leases be settled, and lets pops wait", arguments: [false, true])
    func delivery(restarts: Bool) throws {
        let broker = StateHarness()
        broker.subscribe("t", credit: 1)
        for _ in 0..<3 { broker.publish("t") }
        #expect(pause(broker, "t", .delivery) == nil)
        #expect(broker.settle(broker.last, .ack) == nil)
        #expect(broker.delivered.count == 1)
        if restarts {
            try broker.restart()
            broker.subscribe("t", credit: 1)
        }
        #expect(broker.pop("t") == nil)
        let waiting = broker.wait("t", timeout: -1, session: 2)
        #expect(broker.popped(waiting) == nil)
        #expect(broker.delivered.count == 1)
        #expect(resume(broker, "t", .delivery) == nil)
        #expect(broker.popped(waiting)?.id == id(2))
        #expect(broker.deliveredIDs("t") == [1, 3].map { id($0) })
        #expect(broker.state.disagreements() == [])
    }

    @Test("A paused subscription leaves the others alone")
    func subscription() throws {
        let broker = StateHarness()
        for name in ["t@a", "t@b"] { broker.send(.subscriptionCreate(broker.name(name), .beginning)) }
        broker.publish("t")
        #expect(pause(broker, "t@a", .delivery, until: broker.later(5_000)) == nil)
        try broker.restart()
        #expect(broker.pop("t@a") == nil)
        #expect(broker.pop("t@b")?.id == id(1))
        #expect(broker.status("t@a").figures.map(\.name) == ["delivery_paused", "delivery_paused_until"])
        #expect(broker.status("t@b").figures == [])
        #expect(resume(broker, "t@a", .delivery) == nil)
        #expect(broker.pop("t@a")?.id == id(1))
    }

    @Test("A pause ends by itself at its time, and a clock that jumps back does not begin it again")
    func deadline() throws {
        let broker = StateHarness()
        broker.subscribe("t")
        #expect(pause(broker, "t", .delivery, until: broker.later(500)) == nil)
        #expect(pause(broker, "t", .intake, until: broker.later(2_000)) == nil)
        #expect(broker.state.nextDeadline(now: broker.now) == 500)
        broker.move(monotonic: 500, wall: 499)
        #expect(figures(broker, "t").count == 4)
        broker.move(monotonic: 0, wall: 1)
        #expect(figures(broker, "t").map(\.name) == ["intake_paused", "intake_paused_until"])
        broker.move(monotonic: 0, wall: 1_500)
        #expect(figures(broker, "t") == [])
        broker.publish("t")
        #expect(broker.delivered.count == 1)
        broker.move(monotonic: 0, wall: -60_000)
        try broker.restart()
        #expect(figures(broker, "t") == [])
    }

    @Test("A time that passed while the broker was down ended the pause")
    func downMeanwhile() throws {
        let broker = StateHarness()
        broker.publish("t")
        #expect(pause(broker, "t@default", .delivery, until: broker.later(500)) == nil)
        broker.now.wall = broker.later(1_000)
        try broker.restart()
        #expect(broker.pop("t")?.id == id(1))
    }

    @Test("A later pause replaces the first, and one whose time has passed ends it")
    func replaced() {
        let broker = StateHarness()
        broker.publish("t")
        #expect(pause(broker, "t", .delivery, until: broker.later(500)) == nil)
        #expect(pause(broker, "t", .delivery) == nil)
        broker.pass(milliseconds: 10_000)
        #expect(broker.pop("t") == nil)
        #expect(broker.state.nextDeadline(now: broker.now) == nil)
        #expect(pause(broker, "t", .delivery, until: broker.later(0)) == nil)
        #expect(broker.pop("t") != nil)
    }

    @Test("What is not there and what a subscription has not is refused")
    func refusals() {
        let broker = StateHarness()
        #expect(pause(broker, "t", .both) == .topicUnknown)
        broker.publish("t")
        #expect(pause(broker, "t@a", .delivery) == .subscriptionUnknown)
        #expect(pause(broker, "t@default", .intake) == .settingInvalid)
        #expect(pause(broker, "t@default", .both) == .settingInvalid)
        #expect(resume(broker, "u", .both) == .topicUnknown)
        #expect(resume(broker, "t", .both) == nil)
    }

    @Test("Pauses stand in the definitions, and go with their topic")
    func definitions() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 16 << 10))
        broker.publish("t")
        #expect(pause(broker, "t", .intake) == nil)
        #expect(pause(broker, "t@default", .delivery, until: broker.later(3_600_000)) == nil)
        for _ in 0..<200 {
            broker.publish(broker.message("fill", body: [UInt8](repeating: 7, count: 1_000)))
            _ = broker.pop("fill", acknowledges: true)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try broker.restart()
        #expect(broker.pop("t") == nil)
        #expect(code(.published(broker.publish(broker.message("t")))) == .topicPaused)
        broker.pass(milliseconds: 3_600_000)
        #expect(broker.pop("t")?.id == id(1))
        broker.send(.topicDelete(broker.topic("t")))
        try broker.restart()
        #expect(broker.publish(broker.message("t")).count == 1)
        #expect(figures(broker, "t") == [])
    }
}
