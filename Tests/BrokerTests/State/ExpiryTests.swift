import BrokerProtocol
import Testing

@testable import Broker

/// T3 and L4 of docs/SEMANTICS.md.
@Suite("Expiry") struct ExpiryTests {
    private func house(_ change: (inout TopicSettings) -> Void = { _ in }) -> StateHarness {
        let broker = StateHarness()
        broker.configure("t", change)
        return broker
    }

    private func expired(_ broker: StateHarness, _ name: String = "t") -> Int64 {
        broker.status(name).figures.first { $0.name == "expired" }?.value ?? 0
    }

    @Test("A message is over at its time, though nobody reads, in every subscription")
    func unread() throws {
        let broker = house()
        for name in ["t@a", "t@b"] { broker.send(.subscriptionCreate(broker.name(name), .beginning)) }
        let sent = try broker.publish(broker.message("t", expiresAt: broker.later(1_000)))[0].get().id
        #expect(broker.state.nextDeadline(now: broker.now) == 1_000)
        broker.pass(milliseconds: 999)
        #expect(broker.dead("t@a").isEmpty)
        broker.pass(milliseconds: 1)
        for name in ["t@a", "t@b"] {
            #expect(broker.dead(name).map(\.id) == [sent])
            #expect(broker.dead(name).map(\.deathReason) == ["expired"])
            #expect(expired(broker, name) == 1)
        }
    }

    @Test("With expired = drop it is gone")
    func drop() {
        let broker = house { $0.expired = .drop }
        broker.publish(broker.message("t", expiresAt: broker.later(1_000)))
        broker.pass(milliseconds: 1_000)
        #expect(broker.dead("t").isEmpty)
        #expect(broker.state.messages.count == 0)
        #expect(expired(broker) == 1)
    }

    @Test("A delayed message and one whose key is held are over too")
    func waiting() {
        let broker = house()
        broker.publish(broker.message("t", deliverAt: broker.later(5_000), expiresAt: broker.later(1_000)))
        for _ in 0..<2 {
            var keyed = broker.message("t", expiresAt: broker.later(1_000))
            keyed.orderingKey = "k"
            broker.publish(keyed)
        }
        #expect(broker.pop("t")?.id == id(2))
        #expect(broker.pop("t") == nil)
        broker.pass(milliseconds: 1_000)
        #expect(broker.dead("t").map(\.id) == [id(1), id(3)])
    }

    @Test("A leased message is over when it comes back, and keeps the error; an ack is in time always")
    func leased() {
        let broker = house()
        for _ in 0..<4 { broker.publish(broker.message("t", expiresAt: broker.later(1_000))) }
        let leases = (0..<4).map { _ in broker.pop("t") }
        broker.pass(milliseconds: 2_000)
        #expect(broker.dead("t").isEmpty)
        #expect(broker.settle(leases[0], .ack) == nil)
        broker.settle(leases[1], .fail(error: "no"))
        broker.settle(leases[2], .release(afterMilliseconds: 0))
        broker.close(1)
        #expect(broker.dead("t").map(\.id) == [id(2), id(3), id(4)])
        #expect(broker.dead("t").map(\.deathReason) == ["expired", "expired", "expired"])
        #expect(broker.dead("t")[0].lastError == "no")
    }

    @Test("message_age_max ends what waits too long, oldest first, and is checked at delivery")
    func age() {
        let broker = house { $0.messageAgeMaxMilliseconds = 10_000 }
        broker.publish("t")
        broker.pass(milliseconds: 5_000)
        broker.publish("t")
        broker.pass(milliseconds: 4_999)
        #expect(broker.dead("t").isEmpty)
        broker.pass(milliseconds: 1_001)
        #expect(broker.dead("t").map(\.id) == [id(1)])
        broker.now.wall = broker.now.wall.adding(milliseconds: 4_000)
        #expect(broker.pop("t") == nil)
        #expect(broker.dead("t").map(\.id) == [id(1), id(2)])
    }

    @Test("A delayed message counts its age from its deliver-at")
    func ageOfDelayed() {
        let broker = house { $0.messageAgeMaxMilliseconds = 10_000 }
        broker.publish(broker.message("t", deliverAt: broker.later(60_000)))
        broker.pass(milliseconds: 61_000)
        #expect(broker.status("t").ready == 1)
        broker.publish("t")
        broker.pass(milliseconds: 9_000)
        #expect(broker.dead("t").map(\.id) == [id(1)])
        #expect(broker.status("t").ready == 1)
    }

    @Test("The age can be set and taken back while messages wait")
    func ageLive() {
        let broker = house()
        _ = broker.publish("t", count: 2)
        broker.pass(milliseconds: 60_000)
        broker.configure("t") { $0.messageAgeMaxMilliseconds = 50_000 }
        broker.pass(milliseconds: 1_000)
        #expect(broker.dead("t").count == 2)
        broker.configure("t") { $0.messageAgeMaxMilliseconds = 0 }
        #expect(broker.state.nextDeadline(now: broker.now) == nil)
    }

    @Test("Times hold over a restart; what was leased is over then")
    func restart() throws {
        let broker = house { $0.messageAgeMaxMilliseconds = 100_000 }
        broker.publish(broker.message("t", expiresAt: broker.later(1_000)))
        broker.publish(broker.message("t", expiresAt: broker.later(50_000)))
        broker.publish("t")
        #expect(broker.pop("t")?.id == id(1))
        broker.move(monotonic: 2_000, wall: 2_000)
        try broker.restart()
        #expect(broker.dead("t").map(\.id) == [id(1)])
        broker.pass(milliseconds: 48_000)
        #expect(broker.dead("t").map(\.id) == [id(1), id(2)])
        broker.pass(milliseconds: 51_000)
        #expect(broker.dead("t").count == 3)
    }

    @Test("A redriven message does not expire again")
    func redriven() throws {
        let broker = house()
        broker.publish(broker.message("t", expiresAt: broker.later(1_000)))
        broker.pass(milliseconds: 1_000)
        #expect(broker.send(.deadRedrive(broker.name("t"), [])) == .count(1))
        broker.pass(milliseconds: 5_000)
        try broker.restart()
        let again = broker.pop("t")
        #expect(again?.id == id(1))
        broker.settle(again, .release(afterMilliseconds: 0))
        broker.pass(milliseconds: 1)
        #expect(broker.pop("t")?.id == id(1))
    }

    @Test("A thousand at a time: the rest goes on at once")
    func many() {
        let broker = house { $0.messageAgeMaxMilliseconds = 1_000 }
        for _ in 0..<3 { broker.send(.publish((0..<1_000).map { _ in broker.message("t", body: []) })) }
        broker.pass(milliseconds: 1_000)
        #expect(broker.status("t").dead == 1_000)
        #expect(broker.state.nextDeadline(now: broker.now) == 0)
        broker.pass(milliseconds: 0)
        broker.pass(milliseconds: 0)
        #expect(broker.status("t").dead == 3_000)
    }

    @Test("A subscription that comes later finds the end of an older message")
    func laterSubscription() {
        let broker = house()
        broker.publish(broker.message("t", expiresAt: broker.later(2_000)))
        broker.subscribe("t@late", credit: 0)
        broker.pass(milliseconds: 2_000)
        #expect(broker.dead("t@late").map(\.deathReason) == ["expired"])
    }
}
