import BrokerProtocol
import Testing

@testable import Broker

@Suite("Ageing of low priorities") struct AgeingTests {
    private func broker(ageing: Int64 = 60_000) -> StateHarness {
        let broker = StateHarness()
        broker.configure("t") { $0.delivery.priorityAgeingMilliseconds = ageing }
        broker.send(.subscriptionCreate(broker.name("t@a"), .beginning))
        return broker
    }

    private func publish(_ broker: StateHarness, _ priorities: [UInt8]) {
        for priority in priorities { broker.publish(broker.message("t", priority: priority)) }
    }

    private func ids(_ numbers: UInt64...) -> [MessageID] { numbers.map { id($0) } }

    @Test("Every fourth delivery is the oldest overdue one below the highest priority")
    func everyFourth() {
        let broker = broker()
        publish(broker, [0, 4, 0])
        broker.pass(milliseconds: 60_001)
        publish(broker, [9, 9, 9, 9, 9, 9, 9, 9])
        broker.subscribe("t@a", credit: 100)
        #expect(broker.deliveredIDs("t@a") == ids(4, 5, 6, 1, 7, 8, 9, 2, 10, 11, 3))
        #expect(broker.state.disagreements() == [])
    }

    @Test("What has not waited longer than the setting is not overdue; with 0 nothing is")
    func notYet() throws {
        let broker = broker()
        publish(broker, [0, 0])
        broker.pass(milliseconds: 60_000)
        publish(broker, [9, 9, 9, 9, 9])
        #expect((0..<5).map { _ in broker.pop("t@a")?.id } == [3, 4, 5, 6, 7].map { id($0) })
        publish(broker, [9, 9, 9, 9])
        broker.pass(milliseconds: 1)
        #expect((0..<5).map { _ in broker.pop("t@a")?.id } == [8, 9, 10, 1, 11].map { id($0) })
        let never = self.broker(ageing: 0)
        publish(never, [0])
        never.pass(milliseconds: 86_400_000)
        publish(never, [9, 9, 9, 9, 9])
        #expect((0..<6).map { _ in never.pop("t@a")?.id } == [2, 3, 4, 5, 6, 1].map { id($0) })
    }

    @Test("A delayed message waits since its deliver-at")
    func deliverAt() {
        let broker = broker()
        broker.publish(broker.message("t", priority: 1, deliverAt: broker.later(30_000)))
        publish(broker, [0])
        broker.pass(milliseconds: 60_001)
        publish(broker, [9, 9, 9, 9])
        #expect((0..<4).map { _ in broker.pop("t@a")?.id } == [3, 4, 5, 2].map { id($0) })
        #expect(broker.pop("t@a")?.id == id(6))
        broker.pass(milliseconds: 30_000)
        publish(broker, [9, 9, 9, 9])
        #expect((0..<4).map { _ in broker.pop("t@a")?.id } == [7, 8, 9, 1].map { id($0) })
    }

    @Test("A steady flow of priority 9 starves nothing, also after a restart", arguments: [false, true])
    func steadyFlow(restarts: Bool) throws {
        let broker = broker()
        publish(broker, [UInt8](repeating: 0, count: 20))
        broker.pass(milliseconds: 61_000)
        if restarts { try broker.restart() }
        var low = 0
        for _ in 0..<80 {
            publish(broker, [9])
            let notice = broker.pop("t@a")
            if notice.map({ $0.id <= id(20) }) ?? false { low += 1 }
            broker.settle(notice, .ack)
        }
        #expect(low == 20)
        #expect(broker.state.disagreements() == [])
    }
}
