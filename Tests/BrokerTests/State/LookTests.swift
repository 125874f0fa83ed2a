import BrokerProtocol
import Testing

@testable import Broker

@Suite("Browse, delete, alarms") struct LookTests {
    /// Messages 1 dead, 2 leased, 3 waiting for its retry, 4 delayed, 5 and 6 ready, 7 held behind 2.
    private func broker() -> StateHarness {
        let broker = StateHarness()
        func publish(_ number: Int, key: String? = nil, priority: UInt8 = 4, deliverAt: WallTime? = nil) {
            var message = broker.message("t", priority: priority, deliverAt: deliverAt)
            message.headers = [Header("n", "\(number)")]
            message.orderingKey = key
            broker.publish(message)
        }
        broker.subscribe("t", credit: 3)
        publish(1)
        publish(2, key: "k")
        publish(3)
        broker.settle(broker.delivered[0].notice, .reject(reason: "bad one"))
        broker.settle(broker.delivered[2].notice, .fail(error: "smtp 451", afterMilliseconds: 60_000))
        broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 2))
        publish(4, deliverAt: broker.later(90_000))
        publish(7, key: "k")
        broker.send(.credit(consumer: ConsumerID(rawValue: 1), credit: 0))
        publish(5)
        publish(6, priority: 9)
        return broker
    }

    private func page(_ broker: StateHarness, _ change: (inout BrowseQuery) -> Void = { _ in }) throws -> BrowseNotices
    {
        var query = BrowseQuery()
        change(&query)
        let subscription = try #require(broker.state.subscription(named: broker.name("t")))
        return try broker.state.browse(subscription, query, now: broker.now)
    }

    private func ids(_ broker: StateHarness, _ change: (inout BrowseQuery) -> Void) throws -> [UInt64] {
        try page(broker, change).notices.map(\.notice.id.rawValue)
    }

    @Test("Every state is shown with what belongs to it, and nothing changes by looking")
    func states() throws {
        let broker = broker()
        broker.pass(milliseconds: 500)
        let records = broker.journal.records.count
        let found = try page(broker).notices
        #expect(found.map(\.state) == [.dead, .leased, .delayed, .delayed, .held, .ready, .ready])
        #expect(found[0].notice.grave?.text == "rejected: bad one")
        #expect(found[1].holder == "session-1")
        #expect(found[1].leaseMilliseconds == 29_500)
        #expect(found[1].notice.attempt == 1)
        #expect(found[2].readyAt == broker.later(59_500))
        #expect(found[2].notice.lastError == "smtp 451")
        #expect(found[3].readyAt == broker.later(89_500))
        #expect(found[5].notice.attempt == 0)
        #expect(try page(broker).next == nil)
        #expect(broker.journal.records.count == records)
        #expect(broker.state.disagreements() == [])
    }

    @Test("A jump of the wall clock moves the shown time of a retry with it")
    func jump() throws {
        let broker = broker()
        broker.move(monotonic: 0, wall: -10_000_000)
        #expect(try page(broker) { $0.states = [.delayed] }.notices.first?.readyAt == broker.later(60_000))
    }

    @Test("State, header, key, error, priority, age and id choose")
    func filters() throws {
        let broker = broker()
        for (state, wanted) in [
            (MessageState.ready, [6, 7]), (.delayed, [3, 4]), (.leased, [2]), (.held, [5]), (.dead, [1]),
        ]
            as [(MessageState, [UInt64])]
        {
            #expect(try ids(broker) { $0.states = [state] } == wanted)
        }
        #expect(try ids(broker) { $0.states = [.ready, .dead] } == [1, 6, 7])
        #expect(try ids(broker) { $0.headers = [Header("n", "3")] } == [3])
        #expect(try ids(broker) { $0.headers = [Header("n", "3"), Header("n", "4")] } == [])
        #expect(try ids(broker) { $0.orderingKey = "k" } == [2, 5])
        #expect(try ids(broker) { $0.errorContains = "451" } == [3])
        #expect(try ids(broker) { $0.errorContains = "bad" } == [1])
        #expect(try ids(broker) { $0.priority = 9 } == [7])
        #expect(try ids(broker) { $0.publishedBefore = broker.now.wall } == [])
        #expect(try ids(broker) { $0.publishedFrom = broker.now.wall }.count == 7)
        #expect(try ids(broker) { $0.from = id(6) } == [6, 7])
    }

    @Test("Pages follow each other by id and show each message once")
    func pages() throws {
        let broker = broker()
        var seen: [UInt64] = []
        var next: MessageID? = id(0)
        while let from = next {
            let page = try page(broker) {
                $0.from = from
                $0.limit = 2
            }
            seen += page.notices.map(\.notice.id.rawValue)
            next = page.next
        }
        #expect(seen == [1, 2, 3, 4, 5, 6, 7])
    }

    @Test("A page looks at 10,000 messages at most, or reads some hundred", arguments: [1_000, 100_000])
    func work(count: Int) throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 256 << 20))
        for _ in 0..<count / 1_000 { broker.ask(.publish((0..<1_000).map { _ in broker.message("t") })) }
        let none = try page(broker) { $0.priority = 0 }
        #expect(none.looked == min(count, 10_000))
        #expect(none.next == (count > 10_000 ? id(10_001) : nil))
        let read = try page(broker) { $0.headers = [Header("a", "b")] }
        #expect((100...250).contains(read.looked))
        let few = try page(broker) {
            $0.from = id(UInt64(count) - 5)
            $0.limit = 3
        }
        #expect(few.looked == 3)
    }

    @Test("Delete takes a message in any state but leased, from this subscription alone, and frees its key")
    func delete() throws {
        let broker = broker()
        let response = broker.send(.delete(broker.name("t"), [1, 2, 3, 4, 5, 6, 6, 99].map { id($0) }))
        guard case .settled(let results)? = response else {
            Issue.record("\(String(describing: response))")
            return
        }
        #expect(
            results.map { $0?.code } == [nil, .messageLeased, nil, nil, nil, nil, .messageUnknown, .messageUnknown])
        #expect(try ids(broker) { _ in } == [2, 7])
        #expect(broker.state.disagreements() == [])
        try broker.restart()
        #expect(try ids(broker) { _ in } == [2, 7])
        #expect(code(broker.send(.delete(broker.name("t@x"), [id(2)]))) == .subscriptionUnknown)
        let many = (0...UInt64(BrokerState.messagesPerFact)).map { id($0) }
        #expect(code(broker.send(.delete(broker.name("t"), many))) == .batchTooLarge)
    }

    @Test("The next of a key goes on when the one before it is deleted")
    func key() {
        let broker = StateHarness()
        for _ in 0..<2 {
            var message = broker.message("t")
            message.orderingKey = "k"
            broker.publish(message)
        }
        broker.settle(broker.pop("t"), .fail(error: "x", afterMilliseconds: 60_000))
        #expect(broker.pop("t") == nil)
        #expect(code(broker.send(.delete(broker.name("t"), [id(1)]))) == nil)
        #expect(broker.pop("t")?.id == id(2))
    }

    @Test("Behind a dead letter that parks its key messages are shown as parked, also those that no turn has met")
    func parked() throws {
        let broker = StateHarness()
        broker.configure("t") { $0.delivery.parksAfterDead = true }
        for key in ["k", "k", "other", "k"] {
            var message = broker.message("t")
            message.orderingKey = key
            broker.publish(message)
        }
        broker.settle(broker.pop("t"), .reject(reason: "bad"))
        for _ in 0..<2 {
            #expect(try ids(broker) { $0.states = [.parked] } == [2, 4])
            #expect(try ids(broker) { $0.states = [.held] } == [])
            #expect(try ids(broker) { $0.states = [.ready] } == [3])
            #expect(try ids(broker) { $0.states = [.dead] } == [1])
            #expect(try page(broker).notices.map(\.state) == [.dead, .parked, .ready, .parked])
            try broker.restart()
        }
        // Its turn comes: it is blocked now, and shown as before.
        #expect(broker.pop("t")?.id == id(3))
        #expect(broker.pop("t") == nil)
        #expect(try ids(broker) { $0.states = [.parked] } == [2, 4])
        // The dead letter that is redriven goes first; the others wait for it.
        broker.send(.deadRedrive(broker.name("t"), []))
        #expect(try page(broker).notices.map(\.state) == [.ready, .parked, .leased, .parked])
        broker.settle(broker.pop("t"), .ack)
        #expect(try ids(broker) { $0.states = [.ready] }.first == 2)
        #expect(broker.state.disagreements() == [])
    }

    private func alarms(_ broker: StateHarness) -> [Bool] {
        broker.effects.compactMap { if case .deadAlarm(let alarm) = $0.effect { alarm.isRaised } else { nil } }
    }

    @Test("More dead letters than dead_max raise an alarm once; it ends when there are fewer, or when more are allowed")
    func alarm() throws {
        let broker = StateHarness()
        broker.configure("t") { $0.delivery.deadMax = 1 }
        broker.subscribe("t", credit: 1)
        for _ in 0..<3 {
            broker.publish("t")
            broker.settle(broker.last, .reject(reason: "no"))
        }
        #expect(alarms(broker) == [true])
        #expect(broker.status("t").figures == [Figure("dead_alarm", 1)])
        #expect(broker.state.status().figures == [Figure("alarms", 1)])
        try broker.restart()
        #expect(alarms(broker) == [true, true])
        broker.send(.deadPurge(broker.name("t"), [id(1), id(2)]))
        #expect(alarms(broker) == [true, true, false])
        #expect(broker.status("t").figures == [])
        #expect(broker.state.status().figures == [])
        broker.configure("t") { $0.delivery.deadMax = 0 }
        broker.turn()
        for _ in 0..<3 {
            broker.subscribe("t", credit: 1)
            broker.publish("t")
            broker.settle(broker.last, .reject(reason: "no"))
        }
        #expect(alarms(broker).count == 3)
        broker.configure("t") { $0.delivery.deadMax = 2 }
        broker.turn()
        #expect(alarms(broker).last == true)
        #expect(alarms(broker).count == 4)
        broker.send(.topicDelete(broker.topic("t")))
        #expect(broker.state.alarmCount == 0)
    }
}
