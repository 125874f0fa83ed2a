import BrokerProtocol
import Testing

@testable import Broker

/// V5, V6 and V9 of docs/SEMANTICS.md.
@Suite("Retry policies") struct BackoffTests {
    private func house(_ change: (inout DeliverySettings) -> Void) -> StateHarness {
        let broker = StateHarness()
        broker.configure("t") { change(&$0.delivery) }
        return broker
    }

    /// How long the message waits after each way to fail, in turn.
    private func waits(_ broker: StateHarness, _ count: Int, after: Int64? = nil) -> [Int64] {
        broker.publish("t")
        return (0..<count).map { turn in
            guard let lease = broker.pop("t", session: 7) else { return -1 }
            switch turn % 3 {
            case 0: broker.settle(lease, .fail(error: "no", afterMilliseconds: after), 7)
            case 1: broker.close(7)
            default: broker.pass(milliseconds: lease.leaseMilliseconds)
            }
            let wait = broker.state.backoffs.first.map { $0.until.milliseconds - broker.now.wall.milliseconds } ?? -1
            broker.pass(milliseconds: max(wait, 0))
            return wait
        }
    }

    @Test("Linear: base times the number of the failure, up to the cap, the same for every way to fail")
    func linear() {
        let broker = house {
            $0.backoff = .linear
            $0.backoffBaseMilliseconds = 1_000
            $0.backoffCapMilliseconds = 3_500
            $0.poisonDeathsMax = 1_000
        }
        #expect(waits(broker, 5) == [1_000, 2_000, 3_000, 3_500, 3_500])
    }

    @Test("A list: each of its times, then the last one again; over a restart too")
    func list() throws {
        let broker = house {
            $0.backoff = .list
            $0.backoffList = [50, 70_000, 3]
            $0.poisonDeathsMax = 1_000
        }
        #expect(waits(broker, 2) == [50, 70_000])
        try broker.restart()
        let lease = broker.pop("t")
        broker.settle(lease, .fail(error: "no"))
        #expect(broker.state.backoffs.first?.until == broker.later(3))
    }

    @Test("The consumer's hint wins over every policy", arguments: DeliverySettings.Backoff.allCases)
    func hint(backoff: DeliverySettings.Backoff) {
        let broker = house {
            $0.backoff = backoff
            $0.backoffList = [1]
        }
        #expect(waits(broker, 1, after: 1_234) == [1_234])
    }

    @Test("When the next try would come too late after the publish, the message dies with the reason age")
    func age() throws {
        let broker = house {
            $0.backoff = .list
            $0.backoffList = [1_000, 2_000]
            $0.retryAgeMaxMilliseconds = 3_000
        }
        broker.publish("t")
        broker.settle(broker.pop("t"), .fail(error: "one"))
        broker.pass(milliseconds: 1_000)
        broker.settle(broker.pop("t"), .fail(error: "two"))
        #expect(broker.dead("t").isEmpty)
        broker.pass(milliseconds: 2_000)
        broker.settle(broker.pop("t"), .fail(error: "three"))
        try broker.restart()
        #expect(broker.dead("t").map(\.deathReason) == ["age"])
        #expect(broker.dead("t").map(\.lastError) == ["three"])
    }

    @Test("A refused commit names the item that refused it")
    func commit() {
        let broker = StateHarness()
        broker.configure("full") { $0.messagesMax = 1 }
        broker.publish("full")
        broker.publish("t")
        let lease = broker.pop("t")
        func refusal(_ publishes: [OutgoingMessage], _ settlements: [Settlement]) -> String? {
            guard case .refused(let error)? = broker.send(.commit(publishes: publishes, settlements: settlements))
            else { return nil }
            return error.message
        }
        let good = Settlement(lease?.lease ?? LeaseID(rawValue: 0), .ack)
        let full = refusal([broker.message("t"), broker.message("full")], [good])
        #expect(full == "publish 2 of 2 (full): full holds 1 open messages, its messages_max")
        let lost = refusal([broker.message("t")], [good, Settlement(LeaseID(rawValue: 77), .ack)])
        #expect(lost?.hasPrefix("settle 2 of 2 (lease 77): lease 77 ended before") == true)
        #expect(broker.settle(lease, .ack) == nil)
    }
}
