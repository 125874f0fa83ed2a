import BrokerProtocol
import Testing

@testable import brokerctl

@Suite("What brokerctl shows") struct RenderingTests {
    private func topic() throws -> TopicStatus {
        var topic = TopicStatus(name: .orders, settings: TopicSettings())
        topic.messages = 12
        topic.published = 3456
        var mail = SubscriptionStatus(name: .mail)
        mail.ready = 5
        mail.leased = 7
        mail.consumers = 2
        mail.figures = [Figure("held", 2)]
        var plain = SubscriptionStatus(name: try #require(SubscriptionName("orders")))
        plain.settings = DeliverySettings()
        plain.dead = 1
        topic.subscriptions = [mail, plain]
        return topic
    }

    @Test("The status as JSON has every number under its documented name") func statusJSON() throws {
        var status = BrokerStatus()
        status.version = "1.2"
        status.logFreeBytes = 9
        #expect(
            try JSON.text(StatusReport(status))
                == #"{"acknowledged":0,"connections":0,"dead":0,"delayed":0,"delivered":0,"epoch":0,"#
                + #""figures":{},"leased":0,"log_free_bytes":9,"log_segments":0,"messages":0,"published":0,"ready":0,"#
                + #""schema":1,"topics":0,"#
                + #""uptime_milliseconds":0,"version":"1.2"}"#)
    }

    @Test("The status as text; dead letters are red on a terminal") func statusText() throws {
        var status = BrokerStatus()
        status.version = "1.2"
        status.dead = 3
        status.uptimeMilliseconds = 3 * 3_600_000 + 5_000
        let text = StatusReport(status).text(.plain)
        #expect(text.hasPrefix("broker       1.2, up 3h, start 0, 0 connections\n"))
        #expect(text.contains("now          0 ready, 0 delayed, 0 leased, 3 dead\n"))
        #expect(StatusReport(status).text(Style(isColoured: true)).contains("\u{1B}[31m3 dead\u{1B}[0m"))
    }

    @Test("Subscriptions as JSON: a settings object only where they are its own") func subscriptionsJSON() throws {
        let json = try JSON.text(
            SubscriptionsReport(subscriptions: try topic().subscriptions.map { SubscriptionReport($0) }))
        let settings = DeliverySettings().entries.sorted { $0.key < $1.key }
            .map { "\"\($0.key)\":\"\($0.value)\"" }.joined(separator: ",")
        #expect(
            json
                == #"{"schema":1,"subscriptions":[{"acknowledged":0,"consumers":2,"dead":0,"delayed":0,"delivered":0,"#
                + #""figures":{"held":2},"leased":7,"name":"orders@mail","ready":5},{"acknowledged":0,"consumers":0,"#
                + #""dead":1,"delayed":0,"delivered":0,"figures":{},"leased":0,"name":"orders@default","ready":0,"#
                + #""settings":{"# + settings + "}}]}")
    }

    @Test("Topics as a table with the sums of their subscriptions") func topicsText() throws {
        #expect(
            TopicsReport(topics: [TopicReport(try topic())]).text(.plain) == """
                TOPIC   MESSAGES  READY  DELAYED  LEASED  DEAD  CONSUMERS  PUBLISHED
                orders        12      5        0       7     1          2       3456

                """)
        #expect(TopicsReport(topics: []).text(.plain) == "no topics\n")
    }

    @Test("A topic shows its settings as `topic set` takes them") func topicText() throws {
        let text = TopicReport(try topic()).text(.plain)
        #expect(text.hasPrefix("orders  12 messages, 3456 published since the broker's start\n\nmessages_max=0\n"))
        #expect(text.contains("\nlease=30s\nlease_total=12h\n"))
    }

    @Test("A message as JSON; a body that is no text is base64") func messageJSON() throws {
        func message(_ body: [UInt8]) -> Delivery {
            Delivery(
                consumer: ConsumerID(rawValue: 0), lease: LeaseID(0), leaseMilliseconds: 0,
                id: MessageID(rawValue: 17), subscription: .mail, attempt: 0,
                publishedAt: WallTime(milliseconds: 1_772_366_400_250), headers: [Header("a", "/b")], body: body)
        }
        #expect(
            try JSON.text(MessageReport(message(Array(#"{"n":1}"#.utf8))))
                == #"{"body":{"text":"{\"n\":1}"},"headers":{"a":"/b"},"id":17,"#
                + #""published_at":"2026-03-01T12:00:00.250Z","topic":"orders"}"#)
        #expect(try JSON.text(MessageReport(message([0xFF, 0]))).contains(#""body":{"base64":"/wA="}"#))
        #expect(
            MessageReport(message(Array("x\u{1B}[2J\n".utf8))).text(.plain)
                == "17  2026-03-01T12:00:00.250Z  a=/b x·[2J·")
    }

    @Test("Dead letters say why; the list says when there are more") func deadLetters() throws {
        let letter = DeadLetter(
            id: MessageID(rawValue: 4), subscription: .mail, code: .attempts, reason: "attempts",
            lastError: "smtp 451", lastConsumer: "mail-1", attempts: 10, deliveries: 11, redrives: 1,
            attemptTimes: [WallTime(milliseconds: 1000)], publishedAt: WallTime(milliseconds: 0),
            deadAt: WallTime(milliseconds: 1000), headers: [],
            body: Array("{}".utf8))
        let report = DeadListReport(subscription: "orders@mail", dead: [DeadLetterReport(letter)], hasMore: true)
        #expect(
            report.text(.plain) == """
                ID  ATTEMPTS  REDRIVES  DEAD AT                   REASON    LAST ERROR
                 4        10         1  1970-01-01T00:00:01.000Z  attempts  smtp 451
                …and more: raise --limit

                """)
        #expect(
            try JSON.text(report)
                == #"{"dead":[{"attempts":10,"body":{"text":"{}"},"dead_at":"1970-01-01T00:00:01.000Z","#
                + #""deliveries":11,"failed_at":["1970-01-01T00:00:01.000Z"],"headers":{},"id":4,"#
                + #""last_consumer":"mail-1","last_error":"smtp 451","priority":4,"#
                + #""published_at":"1970-01-01T00:00:00.000Z","#
                + #""reason":"attempts","reason_code":"attempts","redrives":1,"subscription":"orders@mail"}],"#
                + #""has_more":true,"schema":1,"subscription":"orders@mail"}"#)
        #expect(DeadLetterReport(letter).text(.plain).contains("last error     smtp 451\n"))
    }

    @Test("Times are read as they are written, with and without milliseconds") func times() {
        #expect(WallTime(parsing: "2026-03-01T12:00:00.250Z")?.milliseconds == 1_772_366_400_250)
        #expect(WallTime(parsing: "2026-03-01T12:00:00Z")?.milliseconds == 1_772_366_400_000)
        #expect(WallTime(parsing: "yesterday") == nil)
    }

    @Test(
        "The progress line has a bar where there is room and a size",
        arguments: [
            (Optional(0.5), 80, "[####################....................]  50% published 10 (10/s)"),
            (nil, 80, "published 10 (10/s)"), (0.5, 20, "published 10 (10/s)"),
            (7.0, 43, "[###############] 100% published 10 (10/s)"),
        ])
    func progress(fraction: Double?, columns: Int, line: String) {
        #expect(
            PublishProgress.line(published: 10, fraction: fraction, microseconds: 1_000_000, columns: columns)
                == line)
    }

    @Test("The report of a publish") func publishReport() throws {
        var report = PublishReport(topic: "orders", published: 1000, duplicates: 3)
        report.finish(microseconds: 420_000)
        #expect(report.text == "published 1000 to orders in 0.42 s (2381/s), 3 duplicates")
    }
}

@Suite("The end of a topic that can only be read forwards") struct MessageTailTests {
    /// A topic with gaps in its ids, whose broker answers with at most `pageMax` messages.
    private func looks(at ids: [UInt64], count: Int, pageMax: Int) async throws -> (start: [UInt64], looks: Int) {
        var looks = 0
        let start = try await MessageTail.start(of: count) { from, limit in
            looks += 1
            return ids.filter { $0 >= from.rawValue }.prefix(min(Int(limit), pageMax)).map { MessageID(rawValue: $0) }
        }
        return (ids.filter { $0 >= start.rawValue }, looks)
    }

    @Test("It is found in topics of every size, in a number of looks that grows with the logarithm") @MainActor
    func found() async throws {
        for size in [0, 1, 2, 9, 10, 11, 100, 1000] {
            var ids: [UInt64] = []
            var id: UInt64 = 0
            for index in 0..<size {
                id += UInt64(1 + index * 7919 % 50)
                ids.append(id)
            }
            for count in [1, 10] {
                for pageMax in [1, 3, 1000] where pageMax > 1 || count == 1 {
                    let (start, looks) = try await looks(at: ids, count: count, pageMax: pageMax)
                    if pageMax > count { #expect(start == ids.suffix(count), "\(ids)") }
                    #expect(start.count <= count)
                    #expect(start.isEmpty == ids.isEmpty)
                    #expect(looks <= 80)
                }
            }
        }
    }
}
