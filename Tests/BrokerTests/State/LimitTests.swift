import BrokerProtocol
import Testing

@testable import Broker

@Suite("Limits") struct LimitTests {
    private func broker(_ change: (inout StateLimits) -> Void) -> StateHarness {
        var limits = StateLimits()
        change(&limits)
        return StateHarness(limits: limits)
    }

    @Test("A body may have body_max bytes and not one more")
    func body() {
        let broker = broker { $0.bodyBytesMax = 10 }
        #expect(code(broker.send(.publish([broker.message("t", body: [UInt8](repeating: 0, count: 10))]))) == nil)
        #expect(
            code(broker.send(.publish([broker.message("t", body: [UInt8](repeating: 0, count: 11))]))) == .bodyTooLarge)
    }

    @Test("Headers have a limit, counted with their lengths")
    func headers() {
        let broker = broker { $0.headersBytesMax = 20 }
        var message = broker.message("t")
        message.headers = [Header("12345678", "12345678")]
        #expect(code(broker.send(.publish([message]))) == nil)
        message.headers = [Header("12345678", "123456789")]
        #expect(code(broker.send(.publish([message]))) == .headersTooLarge)
    }

    @Test("Priorities are 0 to 9, ordering keys have 1 to 255 bytes")
    func fields() {
        let broker = broker { _ in }
        #expect(code(broker.send(.publish([broker.message("t", priority: 10)]))) == .settingInvalid)
        var message = broker.message("t")
        for key in ["", String(repeating: "k", count: 256)] {
            message.orderingKey = key
            #expect(code(broker.send(.publish([message]))) == .settingInvalid)
        }
        #expect(broker.state.topics.isEmpty)
    }

    @Test("A refused message of a batch refuses itself alone")
    func batch() {
        let broker = broker { $0.bodyBytesMax = 3 }
        let results = broker.publish(broker.message("t"), broker.message("t", body: [1, 2, 3, 4]), broker.message("t"))
        #expect(results.map { try? $0.get().id } == [id(1), nil, id(2)])
    }

    @Test("Topics have a limit, by publish, pop, subscribe and create alike")
    func topics() {
        let broker = broker { $0.topicsMax = 1 }
        broker.publish("t")
        #expect(code(broker.send(.publish([broker.message("u")]))) == .topicLimit)
        #expect(code(broker.subscribe("u")) == .topicLimit)
        #expect(code(broker.send(.topicCreate(broker.topic("u"), TopicSettings()))) == .topicLimit)
        #expect(
            code(broker.send(.pop([broker.name("u")], timeoutMilliseconds: 0, acknowledges: false))) == .topicLimit)
        #expect(code(broker.send(.topicCreate(broker.topic("t"), TopicSettings()))) == .topicExists)
    }

    @Test("Subscriptions of a topic have a limit")
    func subscriptions() {
        let broker = broker { $0.subscriptionsMax = 2 }
        #expect(broker.subscribe("t@a", consumer: 1) == .done)
        #expect(broker.subscribe("t@b", consumer: 2) == .done)
        #expect(code(broker.subscribe("t@c", consumer: 3)) == .subscriptionLimit)
        #expect(broker.subscribe("u@c", consumer: 4) == .done)
    }

    @Test("All definitions together fit into a quarter of a segment")
    func definitions() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 16 << 10))
        var created = 0
        while code(broker.send(.topicCreate(broker.topic("topic-\(created)"), TopicSettings()))) == nil { created += 1 }
        #expect((10...20).contains(created))
        #expect(code(broker.send(.topicCreate(broker.topic("x"), TopicSettings()))) == .topicLimit)
        for _ in 0..<200 { broker.publish("topic-0") }
        try broker.restart()
        #expect(broker.state.topics.count == created)
    }

    @Test("Consumers of a connection have a limit, and each has its own number")
    func consumers() {
        let broker = broker { $0.consumersPerConnectionMax = 2 }
        #expect(broker.subscribe("t", consumer: 1) == .done)
        #expect(code(broker.subscribe("t", consumer: 1)) == .consumerExists)
        #expect(broker.subscribe("t", consumer: 2) == .done)
        #expect(code(broker.subscribe("t", consumer: 3)) == .consumerLimit)
        #expect(broker.subscribe("t", 2, consumer: 3) == .done)
        #expect(code(broker.subscribe("u", 3, lease: 99)) == .settingInvalid)
        #expect(broker.state.topicsByName[broker.topic("u")] == nil)
    }

    @Test("Leases of a connection have a limit; a settle on one subscription lets another one go on")
    func leases() {
        let broker = broker { $0.leasesPerConnectionMax = 2 }
        broker.subscribe("a", consumer: 1)
        broker.subscribe("b", consumer: 2)
        for _ in 0..<2 { broker.publish("a") }
        broker.publish("b")
        #expect(broker.delivered.count == 2)
        #expect(code(broker.send(.pop([broker.name("a")], timeoutMilliseconds: 0, acknowledges: false))) == .leaseLimit)
        broker.settle(broker.last, .ack)
        #expect(broker.last?.subscription == broker.name("b"))
    }

    @Test("Waiting pops count as the leases that they may become")
    func waitingPops() {
        let broker = broker { $0.leasesPerConnectionMax = 2 }
        broker.subscribe("a", consumer: 1)
        let pops = [broker.wait("t"), broker.wait("t"), broker.wait("t")]
        #expect(pops.map { code(broker.response($0)) } == [nil, nil, .leaseLimit])
        broker.publish("a")
        #expect(broker.delivered.isEmpty)
        broker.publish(broker.message("t"), broker.message("t"))
        #expect(broker.state.leases.count == 2)
        #expect(broker.delivered.isEmpty)
        broker.settle(broker.popped(pops[0]), .ack)
        #expect(broker.delivered.count == 1)
    }

    @Test("A timeout of a pop makes room for the consumers of its connection")
    func roomByTimeout() {
        let broker = broker { $0.leasesPerConnectionMax = 1 }
        broker.subscribe("a", consumer: 1)
        _ = broker.wait("t", timeout: 100)
        broker.publish("a")
        #expect(broker.delivered.isEmpty)
        broker.pass(milliseconds: 100)
        #expect(broker.delivered.count == 1)
    }

    @Test("A raised limit takes effect at once")
    func raised() {
        let broker = broker { $0.leasesPerConnectionMax = 1 }
        broker.subscribe("t")
        for _ in 0..<3 { broker.publish("t") }
        broker.state.limits.leasesPerConnectionMax = 3
        broker.turn()
        #expect(broker.delivered.count == 3)
    }

    @Test("Delayed messages have a limit, counted by subscription and inside a commit as well")
    func delayed() {
        let broker = broker { $0.delayedMax = 3 }
        broker.subscribe("t@a", consumer: 1)
        broker.subscribe("t@b", consumer: 2)
        let late = broker.message("t", deliverAt: broker.later(1_000))
        #expect(code(broker.send(.commit(publishes: [late, late], settlements: []))) == .delayedLimit)
        #expect(code(broker.send(.publish([late]))) == nil)
        #expect(code(broker.send(.publish([late]))) == .delayedLimit)
        #expect(code(broker.send(.publish([broker.message("t")]))) == nil)
        broker.pass(milliseconds: 1_000)
        #expect(code(broker.send(.publish([broker.message("t", deliverAt: broker.later(1))]))) == nil)
    }

    @Test("A full topic refuses publishes until something is settled")
    func topicFull() {
        let broker = broker { _ in }
        broker.configure("t") { $0.messagesMax = 2 }
        broker.subscribe("t")
        for _ in 0..<2 { broker.publish("t") }
        #expect(code(broker.send(.publish([broker.message("t")]))) == .topicFull)
        broker.settle(broker.last, .ack)
        #expect(code(broker.send(.publish([broker.message("t")]))) == nil)
    }

    @Test("A configuration that breaks a limit changes nothing")
    func configuration() {
        let broker = broker {
            $0.topicsMax = 2
            $0.subscriptionsMax = 2
        }
        broker.publish("t")
        func apply(_ topics: [String], _ subscriptions: [String]) -> BrokerError.Code? {
            do throws(BrokerError) {
                try broker.state.configure(
                    topics: topics.map { (broker.topic($0), TopicSettings()) },
                    subscriptions: subscriptions.map { (broker.name($0), DeliverySettings()) })
                return nil
            } catch {
                return error.code
            }
        }
        let end = broker.journal.end
        #expect(apply(["a", "b"], []) == .topicLimit)
        #expect(apply(["a"], ["b@x"]) == .topicLimit)
        #expect(apply(["a"], ["t@x", "t@y", "t@z"]) == .subscriptionLimit)
        broker.journal.publishBytesFree = 0
        #expect(apply(["a"], []) == .diskFull)
        broker.journal.publishBytesFree = 1 << 30
        #expect(broker.journal.end == end)
        #expect(apply(["a"], ["t@x", "t@y"]) == nil)
        #expect(apply(["a"], ["t@x", "t@y"]) == nil)
        #expect(broker.status("t@x").settings == DeliverySettings())
    }
}
