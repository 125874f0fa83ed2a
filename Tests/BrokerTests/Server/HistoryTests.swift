import Broker
import BrokerProtocol
import Testing

@Suite("History of messages") struct HistoryTests {
    private let topic = TopicName("order.created")!
    private let email = SubscriptionName("order.created@email")!

    private func house(historyMilliseconds: Int64 = 3_600_000) throws -> BrokerHouse {
        try BrokerHouse { configuration in
            configuration.historyMilliseconds = historyMilliseconds
            configuration.defaults.delivery.backoffBaseMilliseconds = 0
            configuration.defaults.delivery.attemptsMax = 2
        }
    }

    private func order(_ number: String) -> OutgoingMessage {
        OutgoingMessage(topic: topic, body: Array(number.utf8), headers: [Header("order", number)])
    }

    /// One order that fails, dies, is driven again and is done; another one that is done at once.
    private func live(_ broker: any MessageBroker) async throws -> (first: MessageID, second: MessageID) {
        try await broker.administer(.subscriptionCreate(email, .beginning))
        let first = try await broker.publish(order("4711")).id
        for error in ["smtp: 451", "smtp: 550"] {
            let delivery = try #require(try await broker.pop([email], timeoutMilliseconds: -1))
            try await broker.settle(delivery.lease, .fail(error: error, afterMilliseconds: 0))
        }
        #expect(try await broker.count(.deadRedrive(email, [])) == 1)
        let again = try #require(try await broker.pop([email], timeoutMilliseconds: -1))
        try await broker.settle(again.lease, .ack)
        let second = try await broker.publish(order("4712")).id
        _ = try await broker.pop([email], timeoutMilliseconds: -1, acknowledges: true)
        return (first, second)
    }

    @Test("The log tells where a message went, by its id and by a header", arguments: BrokerHouse.Way.allCases)
    func events(way: BrokerHouse.Way) async throws {
        let house = try house()
        let broker = try await house.connect(way, instance: "email-1")
        let (first, _) = try await live(broker)
        let history = try await broker.history(of: .message(first))
        let kinds: [HistoryEvent.Kind] = [
            .published, .delivered, .failed, .delivered, .died, .redriven, .delivered, .acknowledged,
        ]
        #expect(history.events.map(\.kind) == kinds)
        #expect(history.events.allSatisfy { $0.message == first && $0.topic == topic && $0.at != nil })
        #expect(history.events.dropFirst().allSatisfy { $0.subscription == "email" })
        #expect(history.events[1].detail == "to email-1")
        #expect(history.events[2].detail == "smtp: 451")
        #expect(history.events[4].detail.contains("attempts") && history.events[4].detail.contains("smtp: 550"))
        #expect(!history.hasMore)
        #expect(try await broker.history(of: .header(Header("order", "4711"))) == history)
        #expect(try await broker.history(of: .header(Header("order", "4713"))) == MessageHistory())
        let short = try await broker.history(of: .message(first), limit: 3)
        #expect(short.events == Array(history.events.prefix(3)) && short.hasMore)
    }

    @Test("It tells of a new deliver-at and of a cancellation, by id and by header, also after a restart")
    func changed() async throws {
        let house = try house()
        var broker = try await house.connect(.unix)
        try await broker.administer(.subscriptionCreate(email, .beginning))
        let id = try await broker.publish(order("4711")).id
        let other = try await broker.publish(order("4712")).id
        let time = WallTime(milliseconds: 4_000_000_000_000)
        #expect(try await broker.reschedule([id], deliverAt: time) == [nil])
        #expect(try await broker.cancel([id, other]) == [nil, nil])
        for query in [HistoryQuery.message(id), .header(Header("order", "4711"))] {
            let events = try await broker.history(of: query).events
            #expect(events.map(\.kind) == [.published, .rescheduled, .cancelled])
            #expect(events.map(\.detail).dropFirst() == ["to 2096-10-02T07:06:40Z", ""])
            #expect(events.allSatisfy { $0.message == id && $0.topic == topic && $0.subscription == nil })
            try await house.restart()
            broker = try await house.connect(.unix)
        }
    }

    @Test("It is the same after a restart")
    func restart() async throws {
        let house = try house()
        var broker = try await house.connect(.unix)
        let (first, second) = try await live(broker)
        let before = try await broker.history(of: .message(first))
        try await house.restart()
        broker = try await house.connect(.unix)
        #expect(try await broker.history(of: .message(first)) == before)
        let done = try await broker.history(of: .message(second))
        #expect(done.events.map(\.kind) == [.published, .acknowledged])
    }

    @Test("Without the setting it tells what the log happens to hold, without times")
    func off() async throws {
        let house = try house(historyMilliseconds: 0)
        let broker = try await house.connect(.unix)
        let (first, _) = try await live(broker)
        let history = try await broker.history(of: .message(first))
        #expect(history.events.map(\.kind).prefix(2) == [.published, .delivered])
        #expect(history.events[1].at == nil && history.events[1].detail.isEmpty)
    }

    @Test("A search goes through many segments while others are served")
    func manySegments() async throws {
        let house = try house()
        let broker = try await house.connect(.tcp)
        let first = try await broker.publish(order("1")).id
        let body = [UInt8](repeating: 1, count: 60_000)
        for _ in 0..<10 {
            _ = try await broker.publish((0..<7).map { _ in OutgoingMessage(topic: topic, body: body) })
        }
        let last = try await broker.publish(order("1")).id
        async let history = broker.history(of: .header(Header("order", "1")))
        _ = try await broker.status()
        #expect(try await history.events.map(\.message) == [first, last])
        #expect(try await broker.status().logSegments > 3)
    }
}
