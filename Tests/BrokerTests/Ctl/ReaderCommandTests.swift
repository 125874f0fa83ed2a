import BrokerProtocol
import Testing

@testable import brokerctl

@Suite("Commands for readers: patterns, filters, rewinds, fetches") struct ReaderCommandTests {
    private let audit = SubscriptionName("order.*@audit")!

    @Test("A subscription of a pattern is made with its start and its filter")
    func create() async throws {
        let broker = try BrokerDouble { _ in .done }
        let words = ["subscription", "create", "order.*@audit", "--from", "now", "--filter", "region=eu=1"]
        let result = try await Brokerctl.run(words + ["-b", broker.url])
        #expect(result.output == "made subscription order.*@audit\n")
        #expect(broker.requests == [.subscriptionCreate(audit, .now, filter: [Header("region", "eu=1")])])
    }

    @Test(
        "A rewind goes to the beginning, a time or a message, and says how many come again",
        arguments: [
            ([], .beginning), (["--from", "12"], .message(MessageID(rawValue: 12))),
            (["--from", "1970-01-01T00:00:01Z"], .time(WallTime(milliseconds: 1_000))),
        ] as [([String], StartPosition)])
    func rewind(options: [String], start: StartPosition) async throws {
        let broker = try BrokerDouble { _ in .count(7) }
        let result = try await Brokerctl.run(["rewind", "order.*@audit", "-b", broker.url] + options)
        #expect(result.output == "rewound order.*@audit: 7 messages come again\n")
        #expect(broker.requests == [.rewind(audit, start)])
    }

    @Test("A refused rewind ends with the code of the refusal")
    func refused() async throws {
        let broker = try BrokerDouble { _ in .refused(BrokerError(.subscriptionUnknown, "there is none")) }
        let result = try await Brokerctl.run(["rewind", "orders@mail", "-b", broker.url])
        #expect(result.code == 65)
        #expect(result.error.contains("there is none"))
    }

    @Test("A fetch shows what it takes and releases it, or takes it for good", arguments: [false, true])
    func fetch(acknowledges: Bool) async throws {
        let subscription = audit
        let broker = try BrokerDouble { request in
            guard case .fetch = request else { return .settled([nil]) }
            return .fetched([
                Delivery(
                    consumer: ConsumerID(rawValue: 0), lease: LeaseID(rawValue: 5), leaseMilliseconds: 0,
                    id: MessageID(rawValue: 1), subscription: subscription, attempt: 1,
                    publishedAt: WallTime(milliseconds: 0), body: Array("hello".utf8))
            ])
        }
        let words = ["fetch", "order.*@audit", "-n", "3", "--bytes", "1K", "--wait", "2s", "-b", broker.url]
        let result = try await Brokerctl.run(words + (acknowledges ? ["--ack"] : []))
        #expect(result.output.contains("hello"))
        var fetch = Fetch([audit], messagesMax: 3)
        fetch.bytesMax = 1_024
        fetch.waitMilliseconds = 2_000
        fetch.acknowledges = acknowledges
        #expect(broker.requests.first == .fetch(fetch))
        let releases = broker.requests.dropFirst()
        #expect(
            Array(releases) == (acknowledges ? [] : [.settle([Settlement(LeaseID(rawValue: 5), .release())])]))
    }

    @Test("Topics are listed without the patterns, subscriptions with them")
    func lists() async throws {
        var pattern = TopicStatus(name: audit.topic, settings: TopicSettings())
        pattern.subscriptions = [SubscriptionStatus(name: audit)]
        let statuses = [TopicStatus(name: TopicName("order.created")!, settings: TopicSettings()), pattern]
        let broker = try BrokerDouble { _ in .topics(statuses) }
        let topics = try await Brokerctl.run(["topics", "-b", broker.url])
        #expect(topics.output.contains("order.created"))
        #expect(!topics.output.contains("order.*"))
        let other = try BrokerDouble { _ in .topics(statuses) }
        #expect(try await Brokerctl.run(["subscriptions", "-b", other.url]).output.contains("order.*@audit"))
    }
}
