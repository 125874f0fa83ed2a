import BrokerProtocol
import Testing

@testable import Broker

@Suite("Rates") struct RateTests {
    private func rate(_ text: String) -> DeliveryRate { DeliveryRate(text) ?? .unbounded }

    private func broker(_ change: (inout DeliverySettings) -> Void) -> StateHarness {
        let broker = StateHarness()
        broker.configure("t") { change(&$0.delivery) }
        return broker
    }

    private func publish(_ broker: StateHarness, _ keys: String...) {
        for key in keys {
            var message = broker.message("t")
            message.orderingKey = key
            broker.publish(message)
        }
    }

    @Test("A bucket gives exactly its rate, whatever the steps of the clock")
    func bucket() {
        for (text, burst) in [("7/s", 7), ("3/m", 1), ("7/h", 2)] as [(String, Int64)] {
            let rate = rate(text)
            var bucket = TokenBucket(full: burst, rate, at: 1_000)
            var taken: Int64 = 0
            var now: Int64 = 1_000
            var steps = RandomFrames.Generator(seed: 3)
            while now < 1_000 + 10 * rate.periodMilliseconds {
                bucket.refill(rate, tokensMax: burst, at: now)
                while bucket.hasToken {
                    bucket.take()
                    taken += 1
                }
                let step = Int64.random(in: 1...rate.periodMilliseconds / 50, using: &steps)
                now = min(bucket.tokenAt, now + step)
            }
            // The last one comes with the end itself.
            #expect(taken == burst + 10 * Int64(rate.count) - 1, "\(text)")
        }
    }

    @Test("A bucket keeps its tokens when its rate changes, and the clock may be far ahead")
    func change() {
        var bucket = TokenBucket(full: 10, rate("10/s"), at: 0)
        for _ in 0..<7 { bucket.take() }
        bucket.refill(rate("6/h"), tokensMax: 5, at: 0)
        for _ in 0..<3 {
            #expect(bucket.hasToken)
            bucket.take()
        }
        #expect(!bucket.hasToken)
        #expect(bucket.tokenAt == 600_000)
        bucket.refill(rate("6/h"), tokensMax: 5, at: .max)
        #expect(bucket.hasToken)
        #expect(bucket.fullAt == .max)
    }

    @Test("Deliveries of a subscription go at its rate, after a burst")
    func subscription() {
        let broker = broker {
            $0.rate = rate("2/s")
            $0.rateBurst = 3
        }
        broker.subscribe("t")
        _ = broker.publish("t", count: 6)
        #expect(broker.delivered.count == 3)
        #expect(broker.state.nextDeadline(now: broker.now) == 500)
        broker.pass(milliseconds: 499)
        #expect(broker.delivered.count == 3)
        broker.pass(milliseconds: 1)
        #expect(broker.delivered.count == 4)
        broker.pass(milliseconds: 1_000)
        #expect(broker.deliveredIDs("t") == (1...6).map { id($0) })
        #expect(broker.status("t").figures.contains { $0.name == "rate_waits" && $0.value > 0 })
        broker.move(monotonic: 0, wall: 3_600_000)
        _ = broker.publish("t", count: 3)
        #expect(broker.delivered.count == 6, "the wall clock brings no tokens")
    }

    @Test("Pops obey the rate, wait for it, and one that does not wait gets nothing")
    func pops() throws {
        let broker = broker { $0.rate = rate("1/s") }
        _ = broker.publish("t", count: 4)
        #expect(broker.pop("t", acknowledges: true)?.id == id(1))
        #expect(broker.pop("t") == nil)
        let waiting = broker.wait("t")
        broker.pass(milliseconds: 1_000)
        #expect(broker.popped(waiting)?.id == id(2))
        // Full after a start.
        try broker.restart()
        broker.send(.publish([broker.message("t")]))
        #expect(broker.pop("t", session: 2)?.id == id(2))
        #expect(broker.pop("t", session: 2) == nil)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A change of the rate holds from the next delivery on", arguments: ["0", "100/s"])
    func changed(to text: String) {
        let broker = broker { $0.rate = rate("1/h") }
        broker.subscribe("t")
        _ = broker.publish("t", count: 3)
        #expect(broker.delivered.count == 1)
        broker.configure("t") { $0.delivery.rate = rate(text) }
        broker.turn()
        broker.pass(milliseconds: text == "0" ? 0 : 20)
        #expect(broker.delivered.count == 3)
    }

    @Test("A key without a token waits, other keys go on, and its order holds")
    func keys() throws {
        let broker = broker { $0.keyRate = rate("1/s") }
        broker.subscribe("t")
        publish(broker, "a", "a", "b", "a", "b", "c")
        for notice in broker.delivered.map(\.notice) { broker.settle(notice, .ack) }
        #expect(broker.deliveredIDs("t") == [1, 3, 6].map { id($0) })
        #expect(broker.status("t").figures.contains(Figure("held", 3)))
        #expect(broker.status("t").figures.contains(Figure("limited_keys", 2)))
        #expect(broker.state.disagreements() == [])
        broker.pass(milliseconds: 999)
        #expect(broker.delivered.count == 3)
        broker.pass(milliseconds: 1)
        #expect(broker.deliveredIDs("t") == [1, 3, 6, 2, 5].map { id($0) })
        for notice in broker.delivered[3...].map(\.notice) { broker.settle(notice, .ack) }
        #expect(broker.delivered.count == 5)
        broker.configure("t") { $0.delivery.keyRate = .unbounded }
        broker.turn()
        #expect(broker.last?.id == id(4))
        #expect(broker.state.disagreements() == [])
        try broker.restart()
        broker.subscribe("t", 2)
        #expect(broker.last?.id == id(4))
    }

    @Test("A message that failed waits for a token of its key again, before the others of it")
    func retriedKey() {
        let broker = broker { $0.keyRate = rate("1/m") }
        broker.subscribe("t")
        publish(broker, "a", "a")
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 1_000))
        broker.pass(milliseconds: 1_000)
        #expect(broker.delivered.count == 1)
        #expect(broker.state.disagreements() == [])
        broker.pass(milliseconds: 59_000)
        #expect(broker.deliveredIDs("t") == [1, 1].map { id($0) })
        broker.settle(broker.last, .ack)
        broker.pass(milliseconds: 60_000)
        #expect(broker.deliveredIDs("t") == [1, 1, 2].map { id($0) })
    }

    @Test("Buckets of keys that are full again are forgotten")
    func forgotten() {
        let broker = broker { $0.keyRate = rate("10/s") }
        broker.subscribe("t", credit: 1_000)
        for index in 0..<500 {
            publish(broker, "k\(index)")
            broker.pass(milliseconds: 10)
        }
        let pace = broker.state.subscription(named: broker.name("t"))?.pace
        #expect((pace?.keyBuckets.count ?? .max) < 50)
        #expect(broker.delivered.count == 500)
    }

    @Test("No more than so many leases at once; what is acknowledged at once needs none")
    func inFlight() {
        let broker = broker { $0.inFlightMax = 2 }
        broker.subscribe("t")
        _ = broker.publish("t", count: 5)
        #expect(broker.delivered.count == 2)
        #expect(broker.pop("t") == nil)
        #expect(broker.pop("t", acknowledges: true)?.id == id(3))
        broker.settle(broker.delivered[0].notice, .ack)
        #expect(broker.deliveredIDs("t") == [1, 2, 4].map { id($0) })
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 60_000))
        #expect(broker.deliveredIDs("t") == [1, 2, 4, 5].map { id($0) })
        broker.configure("t") { $0.delivery.inFlightMax = 0 }
        broker.pass(milliseconds: 60_000)
        #expect(broker.last?.id == id(4))
    }
}
