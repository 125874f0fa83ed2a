import BrokerProtocol
import Testing

@testable import Broker

@Suite("Retries") struct RetryTests {
    private func broker(_ change: (inout DeliverySettings) -> Void = { _ in }) -> StateHarness {
        let broker = StateHarness()
        broker.configure("t") { change(&$0.delivery) }
        broker.subscribe("t", credit: 1)
        broker.publish("t")
        return broker
    }

    private func delay(_ broker: StateHarness) -> Int64? {
        guard case .delayed(let until)? = broker.state.subscription(named: broker.name("t"))?.slots[id(1)]?.place
        else { return nil }
        return until.milliseconds - broker.now.wall.milliseconds
    }

    @Test("A failure backs off with full jitter between 0 and min(cap, base times 2 to the n)")
    func jitter() {
        var longest: [Int64] = [0, 0, 0, 0, 0]
        for seed in 0..<200 as Range<UInt64> {
            let broker = StateHarness(seed: seed)
            broker.configure("t") {
                $0.delivery.backoffBaseMilliseconds = 100
                $0.delivery.backoffCapMilliseconds = 450
            }
            broker.subscribe("t", credit: 1)
            broker.publish("t")
            for attempt in 0..<5 {
                #expect(broker.settle(broker.last, .fail(error: "x")) == nil)
                let delay = delay(broker) ?? -1
                #expect((0...[100, 200, 400, 450, 450][attempt]).contains(delay))
                longest[attempt] = max(longest[attempt], delay)
                broker.pass(milliseconds: 450)
            }
        }
        #expect(zip(longest, [90, 180, 360, 405, 405]).allSatisfy { $0 >= $1 })
    }

    @Test("The consumer's own delay wins over the policy")
    func hint() {
        let broker = broker()
        broker.settle(broker.last, .fail(error: "rate limit", afterMilliseconds: 12_345))
        #expect(delay(broker) == 12_345)
        broker.pass(milliseconds: 12_344)
        #expect(broker.delivered.count == 1)
        broker.pass(milliseconds: 1)
        #expect(broker.delivered.count == 2)
        #expect(broker.last?.attempt == 2)
        #expect(broker.last?.lastError == "rate limit")
    }

    @Test(
        "A negative delay is none, an endless one is bounded to a year",
        arguments: [
            (Int64.min, Int64(0)), (-1, 0), (.max, 366 * 86_400_000),
        ])
    func hintBounds(hint: Int64, expected: Int64) {
        let broker = broker()
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: hint))
        #expect(delay(broker) == expected)
    }

    @Test("The last attempt that fails is dead-lettered")
    func attemptsMax() {
        let broker = broker { $0.attemptsMax = 3 }
        for attempt in 1...3 as ClosedRange<UInt32> {
            #expect(broker.last?.attempt == attempt)
            broker.settle(broker.last, .fail(error: "no \(attempt)", afterMilliseconds: 0))
            broker.pass(milliseconds: 1)
        }
        #expect(broker.delivered.count == 3)
        let dead = broker.dead("t")
        #expect(dead.map(\.grave?.text) == ["attempts"])
        #expect(dead.map(\.lastError) == ["no 3"])
        #expect(dead.map(\.attempt) == [3])
    }

    @Test("Failure, expired lease and lost connection follow one policy: each counts an attempt")
    func onePolicy() {
        let broker = broker {
            $0.attemptsMax = 3
            $0.leaseMilliseconds = 1_000
            $0.backoffBaseMilliseconds = 0
            $0.backoffCapMilliseconds = 0
        }
        broker.settle(broker.last, .fail(error: "one"))
        broker.pass(milliseconds: 1)
        #expect(broker.last?.attempt == 2)
        broker.pass(milliseconds: 1_000)
        #expect(broker.last?.attempt == 3)
        #expect(broker.last?.lastError == "the lease expired")
        broker.close(1)
        #expect(broker.dead("t").map(\.grave?.text) == ["attempts"])
        #expect(broker.dead("t").map(\.lastError) == ["the connection of session-1 was lost"])
    }

    @Test("A delivery whose consumer died three times is poison, before its attempts are used up")
    func poison() {
        let broker = broker { $0.backoffCapMilliseconds = 1_000 }
        for death in 1...3 {
            broker.close(1)
            broker.pass(milliseconds: 1_000)
            if death < 3 { broker.subscribe("t", credit: 1) }
        }
        #expect(broker.dead("t").map(\.grave?.text) == ["poison"])
        #expect(broker.delivered.count == 3)
    }

    @Test("Failures are no deaths, and deaths are counted across them")
    func deathsBetweenFailures() {
        let broker = broker {
            $0.poisonDeathsMax = 2
            $0.leaseMilliseconds = 100
            $0.backoffBaseMilliseconds = 0
            $0.backoffCapMilliseconds = 0
        }
        broker.pass(milliseconds: 100)
        broker.settle(broker.last, .fail(error: "x"))
        broker.pass(milliseconds: 1)
        broker.settle(broker.last, .fail(error: "x"))
        broker.pass(milliseconds: 1)
        #expect(broker.dead("t") == [])
        broker.pass(milliseconds: 100)
        #expect(broker.dead("t").map(\.grave?.text) == ["poison"])
        #expect(broker.dead("t").map(\.attempt) == [4])
    }

    @Test("A release counts nothing and comes back at once or when it is asked to")
    func release() {
        let broker = broker { $0.attemptsMax = 2 }
        for _ in 0..<10 {
            broker.settle(broker.last, .release())
            broker.pass(milliseconds: 0)
            #expect(broker.last?.attempt == 1)
        }
        #expect(broker.delivered.count == 11)
        broker.settle(broker.last, .release(afterMilliseconds: 500))
        broker.pass(milliseconds: 499)
        #expect(broker.delivered.count == 11)
        broker.pass(milliseconds: 1)
        #expect(broker.delivered.count == 12)
    }

    @Test("A release after a failure keeps the failure's count and error")
    func releaseAfterFailure() {
        let broker = broker()
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 0))
        broker.pass(milliseconds: 0)
        broker.settle(broker.last, .release())
        broker.pass(milliseconds: 0)
        #expect(broker.last?.attempt == 2)
        #expect(broker.last?.lastError == "x")
    }

    @Test("A retry does not hold up what is behind it")
    func othersGoOn() {
        let broker = broker()
        broker.publish("t")
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 1_000))
        #expect(broker.last?.id == id(2))
    }

    @Test("A message that comes back is first in publish order again")
    func order() {
        let broker = broker()
        for _ in 0..<3 { broker.publish("t") }
        broker.settle(broker.last, .fail(error: "x", afterMilliseconds: 10))
        broker.now.monotonic += 10
        broker.now.wall = broker.later(10)
        broker.state.advance(now: broker.now)
        broker.settle(broker.last, .ack)
        #expect(broker.deliveredIDs("t") == [id(1), id(2), id(1)])
    }

    @Test("Errors are kept to 1024 bytes, cut at a character")
    func longError() {
        let broker = broker()
        broker.settle(broker.last, .fail(error: String(repeating: "é", count: 2_000), afterMilliseconds: 0))
        broker.pass(milliseconds: 0)
        #expect(broker.last?.lastError?.utf8.count == 1_023)
        #expect(broker.last?.lastError?.hasSuffix("é…") == true)
    }

    @Test("A subscription's own settings go before its topic's, until they are taken back")
    func ownSettings() {
        let broker = broker()
        var own = DeliverySettings()
        own.attemptsMax = 1
        #expect(broker.send(.subscriptionSet(broker.name("t"), own)) == .done)
        broker.settle(broker.last, .fail(error: "x"))
        #expect(broker.status("t").dead == 1)
        #expect(broker.send(.subscriptionSet(broker.name("t"), nil)) == .done)
        broker.publish("t")
        broker.settle(broker.last, .fail(error: "x"))
        #expect(broker.status("t").dead == 1)
        own.attemptsMax = 0
        #expect(code(broker.send(.subscriptionSet(broker.name("t"), own))) == .settingInvalid)
    }
}
