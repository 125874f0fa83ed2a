import BrokerClient
import BrokerProtocol

extension Command {
    static let subscriptionCommands = [
        Command(
            words: ["subscriptions"], operands: "[TOPIC]", operandCount: 0...1,
            summary: "List the subscriptions of all topics or of one", hasJSON: true, run: listSubscriptions),
        Command(
            words: ["subscription", "create"], operands: "TOPIC@NAME", operandCount: 1...1,
            summary: "Make a subscription",
            notes: """
                START is beginning (default), now, a message id, or a time such as 2026-03-01T12:00:00Z. With
                --filter it gets only messages that have all of these headers. TOPIC may be a pattern for all topics
                that match, now and later: * stands for one part between dots, > at the end for one or more.
                """,
            options: [
                Option("from", value: "START", help: "the first message that it gets"),
                Option("filter", value: "KEY=VALUE", help: "a header that its messages have; repeatable"),
            ],
            run: createSubscription),
        Command(
            words: ["subscription", "set"], operands: "TOPIC@NAME [KEY=VALUE]…", operandCount: 1...64,
            summary: "Give a subscription settings of its own",
            notes: "What is not named stays as it is. Settings and their defaults:\n"
                + DeliverySettings().entries.map { "  \($0.key)=\($0.value)\n" }.joined()
                + "Times are written 250ms, 30s, 10m, 12h, 7d.",
            options: [Option("inherit", help: "follow the topic's settings again")], run: setSubscription),
        Command(
            words: ["rewind"], operands: "TOPIC@NAME", operandCount: 1...1,
            summary: "Deliver again what the topic still holds",
            notes: """
                START is beginning (default), a message id, or a time such as 2026-03-01T12:00:00Z. What is leased,
                delayed, ready or dead stays as it is.
                """,
            options: [Option("from", value: "START", help: "the first message that comes again")],
            run: rewindSubscription),
        Command(
            words: ["subscription", "delete"], operands: "TOPIC@NAME", operandCount: 1...1,
            summary: "Delete a subscription with its dead letters",
            options: [Invocation.dryRun, Invocation.force, Invocation.noInput], run: deleteSubscription),
    ]

    @MainActor private static func listSubscriptions(_ invocation: Invocation) async throws {
        let topic = invocation.input.operands.isEmpty ? nil : try invocation.topic()
        let topics = try await invocation.withBroker { client in
            if let topic { return [try await client.topic(topic)] }
            return try await client.topics()
        }
        let report = SubscriptionsReport(
            subscriptions: topics.flatMap(\.subscriptions).map { SubscriptionReport($0) })
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text(invocation.console.style))
    }

    @MainActor private static func createSubscription(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        let start = try invocation.start()
        let filter = try invocation.headers("filter")
        try await invocation.withBroker { try await $0.administer(.subscriptionCreate(name, start, filter: filter)) }
        invocation.console.print("made subscription \(name.full)")
    }

    @MainActor private static func setSubscription(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        let inherits = invocation.input.has("inherit")
        if inherits != (invocation.input.operands.count == 1) {
            throw invocation.wrong("expected KEY=VALUE, or --inherit alone")
        }
        _ = try invocation.applied(to: DeliverySettings(), checksRanges: false)
        try await invocation.withBroker { client in
            let (topic, status) = try await client.subscription(name)
            let settings =
                inherits ? nil : try invocation.applied(to: status.settings ?? topic.settings.delivery)
            try await client.administer(.subscriptionSet(name, settings))
        }
        invocation.console.print("changed subscription \(name.full)")
    }

    @MainActor private static func rewindSubscription(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        let start = try invocation.start()
        let count = try await invocation.withBroker { try await $0.count(.rewind(name, start)) }
        invocation.console.print("rewound \(name.full): \(count) messages come again")
    }

    @MainActor private static func deleteSubscription(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        try await invocation.withBroker { client in
            let status = try await client.subscription(name).subscription
            let open = status.ready + status.delayed + status.leased
            let what = "subscription \(name.full) with \(open) open messages and \(status.dead) dead letters"
            if invocation.input.has("dry-run") { return invocation.console.print("would delete \(what)") }
            try invocation.confirm("delete \(what)", name: name.full)
            try await client.administer(.subscriptionDelete(name))
            invocation.console.print("deleted \(what)")
        }
    }
}

extension BrokerClient {
    /// - Throws: `TOPIC_UNKNOWN` or `SUBSCRIPTION_UNKNOWN`.
    func subscription(
        _ name: SubscriptionName
    ) async throws(BrokerError) -> (topic: TopicStatus, subscription: SubscriptionStatus) {
        let topic = try await topic(name.topic)
        guard let status = topic.subscriptions.first(where: { $0.name == name }) else {
            throw BrokerError(.subscriptionUnknown, "there is no subscription \(name.full)")
        }
        return (topic, status)
    }
}

extension Invocation {
    func start() throws(Failure) -> StartPosition {
        switch input.value("from") {
        case nil, "beginning": return .beginning
        case "now": return .now
        case let text?:
            if let id = UInt64(text) { return .message(MessageID(rawValue: id)) }
            if let time = WallTime(parsing: text) { return .time(time) }
            throw wrong("--from \(text): expected beginning, now, a message id, or a time like 2026-03-01T12:00:00Z")
        }
    }

    /// The settings with the user's changes.
    /// - Throws: A usage failure that names the key, or the range.
    func applied(to settings: DeliverySettings, checksRanges: Bool = true) throws(Failure) -> DeliverySettings {
        var settings = settings
        for (key, value) in try self.settings() {
            do throws(BrokerError) {
                if try settings.set(key, to: value) { continue }
            } catch { throw wrong(error.message) }
            throw wrong("there is no setting `\(key)`: \(settings.entries.map(\.key).joined(separator: ", "))")
        }
        if checksRanges {
            do throws(BrokerError) { try settings.validate() } catch { throw wrong(error.message) }
        }
        return settings
    }
}
