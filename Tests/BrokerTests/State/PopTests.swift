import BrokerProtocol
import Testing

@testable import Broker

@Suite("Pops") struct PopTests {
    @Test("A pop takes the first message of the first subscription that has one")
    func firstThatHasOne() {
        let broker = StateHarness()
        broker.publish("b")
        broker.publish("c")
        #expect(broker.pop("a", "b", "c")?.subscription == broker.name("b"))
        #expect(broker.pop("a", "b", "c")?.subscription == broker.name("c"))
        #expect(broker.pop("a", "b", "c") == nil)
    }

    @Test("A popped message is leased, and comes back when nobody settles it")
    func leased() {
        let broker = StateHarness()
        broker.publish("t")
        let first = broker.pop("t")
        #expect(first?.attempt == 1)
        broker.pass(milliseconds: 30_000)
        #expect(broker.status("t").leased == 0)
        broker.pass(milliseconds: 1_000)
        let second = broker.pop("t")
        #expect(second?.attempt == 2)
        #expect(broker.settle(first, .ack) == .leaseLost)
        #expect(broker.settle(second, .ack) == nil)
    }

    @Test("A pop that acknowledges has settled before it answers, and the answer waits for the disk")
    func acknowledges() throws {
        let broker = StateHarness()
        broker.publish("t")
        let notice = broker.pop("t", acknowledges: true)
        #expect(notice?.id == id(1))
        #expect(notice?.lease == LeaseID(rawValue: 0))
        #expect(broker.state.messages.count == 0)
        #expect(broker.effects.last?.requires == broker.journal.end)
        try broker.restart()
        #expect(broker.pop("t") == nil)
    }

    @Test("Waiting pops are served in the order of their coming, one message each")
    func waitingOrder() {
        let broker = StateHarness()
        let pops = (1...3).map { broker.wait("t", session: UInt64($0)) }
        broker.publish("t")
        #expect(pops.map { broker.popped($0)?.id } == [id(1), nil, nil])
        broker.publish(broker.message("t"), broker.message("t"))
        #expect(pops.map { broker.popped($0)?.id } == [id(1), id(2), id(3)])
        broker.publish("t")
        #expect(broker.status("t").ready == 1)
    }

    @Test("A pop does not overtake one that waits")
    func noOvertaking() {
        let broker = StateHarness()
        let first = broker.wait("t", session: 1)
        broker.ask(.publish([broker.message("t")]))
        #expect(broker.pop("t", session: 2) == nil)
        #expect(broker.popped(first)?.id == id(1))
    }

    @Test("Pops are served before consumers")
    func beforeConsumers() {
        let broker = StateHarness()
        broker.subscribe("t", 1, credit: 5)
        let pop = broker.wait("t", session: 2)
        broker.publish("t")
        #expect(broker.popped(pop)?.id == id(1))
        #expect(broker.delivered.isEmpty)
        broker.publish("t")
        #expect(broker.delivered.count == 1)
    }

    @Test("A pop on several subscriptions is answered once")
    func answeredOnce() {
        let broker = StateHarness()
        let pop = broker.wait("a", "b", "a")
        broker.send(.publish([broker.message("b"), broker.message("a")]))
        #expect(broker.effects.count { if case .answerPop = $0.effect { true } else { false } } == 1)
        #expect(broker.popped(pop) != nil)
        #expect(broker.status("a").ready + broker.status("b").ready == 1)
        #expect(broker.state.waitingPopCount == 0)
    }

    @Test("A pop answers nothing exactly at its timeout, or at once when it does not wait")
    func timeout() {
        let broker = StateHarness()
        let pop = broker.wait("t", timeout: 500)
        broker.pass(milliseconds: 499)
        #expect(broker.response(pop) == nil)
        broker.pass(milliseconds: 1)
        #expect(broker.response(pop) == .popped(nil))
        broker.publish("t")
        #expect(broker.popped(pop) == nil)
        #expect(broker.status("t").ready == 1)
    }

    @Test("A negative timeout waits for ever")
    func forEver() {
        let broker = StateHarness()
        let pop = broker.wait("t", timeout: -1)
        broker.pass(milliseconds: 400 * 86_400_000)
        broker.publish("t")
        #expect(broker.popped(pop)?.id == id(1))
    }

    @Test("A pop that waits is woken by a retry and by a delayed message")
    func woken() {
        let broker = StateHarness()
        broker.publish("t")
        broker.settle(broker.pop("t"), .fail(error: "x", afterMilliseconds: 100))
        let first = broker.wait("t")
        broker.pass(milliseconds: 100)
        #expect(broker.popped(first)?.attempt == 2)
        broker.publish(broker.message("t", deliverAt: broker.later(100)))
        let second = broker.wait("t")
        broker.pass(milliseconds: 100)
        #expect(broker.popped(second)?.id == id(2))
    }

    @Test("The pops of a closed connection get nothing")
    func closed() {
        let broker = StateHarness()
        let pop = broker.wait("t", timeout: 1_000, session: 2)
        broker.close(2)
        broker.publish("t")
        #expect(broker.popped(pop) == nil)
        #expect(broker.status("t").ready == 1)
        broker.pass(milliseconds: 1_000)
        #expect(broker.response(pop) == nil)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A pop names 1 to 100 subscriptions", arguments: [0, 101])
    func nameCount(count: Int) {
        let broker = StateHarness()
        let names = (0..<count).map { broker.name("t\($0)") }
        #expect(code(broker.send(.pop(names, timeoutMilliseconds: 0, acknowledges: false))) == .batchTooLarge)
        #expect(broker.state.topics.isEmpty)
    }

    @Test("An expired message does not stop a pop: it dies and the next one is taken")
    func expiredOnTheWay() {
        let broker = StateHarness()
        broker.publish(broker.message("t", expiresAt: broker.later(1)))
        broker.publish("t")
        broker.pass(milliseconds: 1)
        #expect(broker.pop("t")?.id == id(2))
        #expect(broker.status("t").dead == 1)
    }

    @Test("A pop with acknowledgement on a full disk waits until there is space")
    func fullDisk() {
        let broker = StateHarness()
        broker.publish("t")
        broker.send(.subscriptionCreate(broker.name("t"), .beginning))
        broker.journal.appendsLeft = 0
        let pop = broker.wait("t", acknowledges: true)
        #expect(broker.popped(pop) == nil)
        #expect(broker.status("t").ready == 1)
        #expect(broker.state.nextDeadline(now: broker.now) == 1_000)
        broker.journal.appendsLeft = nil
        broker.pass(milliseconds: 1_000)
        #expect(broker.popped(pop)?.id == id(1))
    }
}
