import BrokerProtocol

/// `topics`, as brokerctl shows it.
struct TopicsReport: Encodable {
    let schema = 1
    let topics: [TopicReport]

    func text(_ style: Style) -> String {
        if topics.isEmpty { return "no topics\n" }
        var table = TextTable(
            "TOPIC", .number("MESSAGES"), .number("READY"), .number("DELAYED"), .number("LEASED"), .number("DEAD"),
            .number("CONSUMERS"), .number("PUBLISHED"))
        for topic in topics {
            func sum(_ count: (SubscriptionReport) -> UInt64) -> String {
                "\(topic.subscriptions.reduce(0) { $0 + count($1) })"
            }
            table.add(
                topic.name, "\(topic.messages)", sum { $0.ready }, sum { $0.delayed }, sum { $0.leased },
                sum { $0.dead }, sum { UInt64($0.consumers) }, "\(topic.published)")
        }
        return table.text(style)
    }
}

/// A topic with its subscriptions.
struct TopicReport: Encodable {
    let name: String
    let messages: UInt64
    let published: UInt64
    /// More numbers, by the names of docs/OPERATIONS.md; none is zero.
    let figures: [String: Int64]
    /// Values as `topic set` takes them.
    let settings: [String: String]
    let subscriptions: [SubscriptionReport]
    private let order: [String]

    enum CodingKeys: CodingKey { case name, messages, published, figures, settings, subscriptions }

    init(_ status: TopicStatus) {
        name = status.name.text
        messages = status.messages
        published = status.published
        figures = status.figures.byName
        settings = Dictionary(uniqueKeysWithValues: status.settings.entries.map { ($0.key, $0.value) })
        order = status.settings.entries.map(\.key)
        subscriptions = status.subscriptions.map { SubscriptionReport($0) }
    }

    func text(_ style: Style) -> String {
        style.bold(name) + "  \(messages) messages, \(published) published since the broker's start\n\n"
            + order.map { "\($0)=\(settings[$0] ?? "")\n" }.joined() + "\n"
            + figures.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }.joined()
            + SubscriptionsReport(subscriptions: subscriptions).text(style)
    }
}

/// `subscriptions`, as brokerctl shows it.
struct SubscriptionsReport: Encodable {
    let schema = 1
    let subscriptions: [SubscriptionReport]

    func text(_ style: Style) -> String {
        if subscriptions.isEmpty { return "no subscriptions\n" }
        var table = TextTable(
            "SUBSCRIPTION", .number("CONSUMERS"), .number("READY"), .number("DELAYED"), .number("LEASED"),
            .number("DEAD"), .number("DELIVERED"), .number("ACKED"), "SETTINGS")
        for one in subscriptions {
            table.add(
                one.name, "\(one.consumers)", "\(one.ready)", "\(one.delayed)", "\(one.leased)", "\(one.dead)",
                "\(one.delivered)", "\(one.acknowledged)", one.settings == nil ? "topic's" : "own")
        }
        let figures = subscriptions.flatMap { one in
            one.figures.sorted { $0.key < $1.key }.map { "\(one.name): \($0.key) \($0.value)\n" }
        }
        let filters = subscriptions.filter { $0.filter != nil }.map { one in
            "\(one.name): filter \((one.filter ?? []).joined(separator: " ").printable)\n"
        }
        return table.text(style) + filters.joined() + figures.joined()
    }
}

extension [Figure] {
    var byName: [String: Int64] { Dictionary(map { ($0.name, $0.value) }) { $1 } }
}

struct SubscriptionReport: Encodable {
    /// Always with the part behind the `@`.
    let name: String
    let consumers: UInt32
    let ready: UInt64
    let delayed: UInt64
    let leased: UInt64
    let dead: UInt64
    let delivered: UInt64
    let acknowledged: UInt64
    let figures: [String: Int64]
    /// Absent: it follows its topic.
    let settings: [String: String]?
    /// Headers that its messages have; absent: it gets every message.
    let filter: [String]?

    init(_ status: SubscriptionStatus) {
        name = status.name.full
        consumers = status.consumers
        ready = status.ready
        delayed = status.delayed
        leased = status.leased
        dead = status.dead
        delivered = status.delivered
        acknowledged = status.acknowledged
        figures = status.figures.byName
        settings = status.settings.map { Dictionary(uniqueKeysWithValues: $0.entries.map { ($0.key, $0.value) }) }
        filter = status.filter.isEmpty ? nil : status.filter.map { "\($0.key)=\($0.value)" }
    }
}

extension SubscriptionName {
    /// With the part behind the `@`, also for the default subscription.
    var full: String { "\(topic.text)@\(name)" }
}
