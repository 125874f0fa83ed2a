import BrokerProtocol
import Testing

@testable import Broker

/// What a dead letter says of its life.
@Suite("Records of death") struct DeathRecordTests {
    @Test("A dead letter says who failed last, when each attempt failed, and how often it was handed out")
    func record() throws {
        let broker = StateHarness()
        broker.configure("t") { $0.delivery.leaseMilliseconds = 1_000 }
        broker.subscribe("t", credit: 1)
        broker.publish("t")
        let start = broker.now.wall
        broker.settle(broker.last, .release())
        broker.pass(milliseconds: 10)
        broker.settle(broker.last, .fail(error: "first", afterMilliseconds: 0))
        broker.pass(milliseconds: 5)
        try broker.restart()
        broker.subscribe("t", 2, credit: 1)
        broker.pass(milliseconds: 5)
        broker.settle(broker.last, .reject(reason: "enough"), 2)
        func check() {
            let letter = broker.dead("t").first
            #expect(letter?.grave?.text == "rejected: enough")
            #expect(letter?.grave?.reason == .rejected)
            #expect(letter?.lastError == "first")
            #expect(letter?.lastConsumer == "session-2")
            // That of the attempt that the restart ended has no failure.
            #expect(letter?.failedAt == [start.adding(milliseconds: 10), start.adding(milliseconds: 20)])
            #expect(letter?.attempt == 3)
            #expect(letter?.deliveries == 4)
        }
        check()
        try broker.restart()
        check()
    }

    @Test("The times of the last 16 failures are kept, also when the message moves forward in the log")
    func lastTimes() throws {
        let broker = StateHarness(journal: MemoryJournal(segmentBytes: 16 << 10))
        broker.configure("t") {
            $0.delivery.attemptsMax = 20
            $0.delivery.backoff = .list
            $0.delivery.backoffList = [0]
        }
        broker.subscribe("t", credit: 1)
        broker.publish("t")
        var times: [WallTime] = []
        for attempt in 1...20 {
            times.append(broker.now.wall)
            broker.settle(broker.last, .fail(error: "no \(attempt)"))
            broker.pass(milliseconds: 7)
        }
        broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)))
        let before = broker.dead("t")
        #expect(before.first?.failedAt == Array(times.suffix(16)))
        #expect(before.first?.lastError == "no 20")
        for _ in 0..<2_000 {
            broker.publish("u")
            broker.pop("u", acknowledges: true)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try broker.restart()
        let after = broker.dead("t")
        #expect(after.map(\.failedAt) == before.map(\.failedAt))
        #expect(after.map(\.lastConsumer) == ["session-1"])
        #expect(after.map(\.grave?.text) == ["attempts"])
        #expect(after.map(\.lastError) == ["no 20"])
    }

    @Test("A redrive begins attempts again and keeps what went wrong")
    func redriven() {
        let broker = StateHarness()
        broker.subscribe("t", credit: 1)
        broker.publish("t")
        broker.settle(broker.last, .reject(reason: "no"))
        let first = broker.now.wall
        broker.pass(milliseconds: 3)
        broker.send(.deadRedrive(broker.name("t"), []))
        broker.settle(broker.last, .reject(reason: "again no"))
        let letter = broker.dead("t").first
        #expect(letter?.attempt == 1)
        #expect(letter?.redrives == 1)
        #expect(letter?.failedAt == [first, broker.now.wall])
    }

    @Test("Who failed is named with at most 255 bytes")
    func longName() {
        let broker = StateHarness()
        broker.state.open(SessionID(rawValue: 1), name: String(repeating: "ä", count: 200))
        broker.subscribe("t", credit: 1)
        broker.publish("t")
        broker.settle(broker.last, .reject(reason: "no"))
        #expect(broker.dead("t").first?.lastConsumer == String(repeating: "ä", count: 127))
    }

    @Test("The error of a refused commit names the item that refused it")
    func commitItems() {
        let broker = StateHarness()
        broker.configure("full") { $0.messagesMax = 1 }
        broker.publish("full")
        broker.subscribe("t", credit: 5)
        broker.publish("t")
        let lease = broker.last?.lease ?? LeaseID(rawValue: 0)
        let ack = Settlement(lease, .ack)
        func sentence(_ request: Request) -> String? {
            guard case .refused(let error)? = broker.send(request) else { return nil }
            return error.message
        }
        let publishes = [broker.message("t"), broker.message("full"), broker.message("t")]
        #expect(
            sentence(.commit(publishes: publishes, settlements: [ack]))
                == "publish 2 of 3 (full): full holds 1 open messages, its messages_max")
        let lost = Settlement(LeaseID(rawValue: 77), .ack)
        #expect(
            sentence(.commit(publishes: [], settlements: [ack, lost]))?.hasPrefix("settle 2 of 2 (lease 77): lease 77")
                == true)
        #expect(broker.status("t").leased == 1)
        #expect(broker.status("t").ready == 0)
    }
}
