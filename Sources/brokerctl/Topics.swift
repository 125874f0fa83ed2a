import BrokerClient
import BrokerProtocol

extension Command {
    static let topicCommands = [
        Command(words: ["topics"], summary: "List the topics", hasJSON: true, run: listTopics),
        Command(
            words: ["topic", "show"], operands: "TOPIC", operandCount: 1...1,
            summary: "Show a topic with its settings and subscriptions", hasJSON: true, run: showTopic),
        Command(
            words: ["topic", "create"], operands: "TOPIC [KEY=VALUE]…", operandCount: 1...64,
            summary: "Make a topic", notes: settingNotes, run: createTopic),
        Command(
            words: ["topic", "set"], operands: "TOPIC KEY=VALUE…", operandCount: 2...64,
            summary: "Change settings of a topic", notes: settingNotes, run: setTopic),
        Command(
            words: ["topic", "delete"], operands: "TOPIC", operandCount: 1...1,
            summary: "Delete a topic with every message and subscription",
            options: [Invocation.dryRun, Invocation.force, Invocation.noInput], run: deleteTopic),
    ]

    static let settingNotes =
        "Settings and their defaults:\n"
        + TopicSettings().entries.map { "  \($0.key)=\($0.value)\n" }.joined()
        + "Times are written 250ms, 30s, 10m, 12h, 7d."

    @MainActor private static func listTopics(_ invocation: Invocation) async throws {
        let topics = try await invocation.withBroker { try await $0.topics() }
        let report = TopicsReport(topics: topics.filter { !$0.name.isPattern }.map { TopicReport($0) })
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text(invocation.console.style))
    }

    @MainActor private static func showTopic(_ invocation: Invocation) async throws {
        let name = try invocation.topic()
        let status = try await invocation.withBroker { try await $0.topic(name) }
        if invocation.wantsJSON { return try invocation.console.print(json: TopicReport(status)) }
        invocation.console.print(TopicReport(status).text(invocation.console.style))
    }

    @MainActor private static func createTopic(_ invocation: Invocation) async throws {
        let name = try invocation.topic()
        let settings = try invocation.applied(to: TopicSettings())
        try await invocation.withBroker { try await $0.administer(.topicCreate(name, settings)) }
        invocation.console.print("made topic \(name)")
    }

    @MainActor private static func setTopic(_ invocation: Invocation) async throws {
        let name = try invocation.topic()
        // A misspelt key is told before anybody is asked for the present settings.
        _ = try invocation.applied(to: TopicSettings(), checksRanges: false)
        try await invocation.withBroker { client in
            let settings = try invocation.applied(to: try await client.topic(name).settings)
            try await client.administer(.topicSet(name, settings))
        }
        invocation.console.print("changed topic \(name)")
    }

    @MainActor private static func deleteTopic(_ invocation: Invocation) async throws {
        let name = try invocation.topic()
        try await invocation.withBroker { client in
            let status = try await client.topic(name)
            let what = "topic \(name) with \(status.messages) messages and \(status.subscriptions.count) subscriptions"
            if invocation.input.has("dry-run") { return invocation.console.print("would delete \(what)") }
            try invocation.confirm("delete \(what)", name: name.text)
            try await client.administer(.topicDelete(name))
            invocation.console.print("deleted \(what)")
        }
    }
}

extension BrokerClient {
    /// - Throws: `TOPIC_UNKNOWN`.
    func topic(_ name: TopicName) async throws(BrokerError) -> TopicStatus {
        guard let topic = try await topics().first(where: { $0.name == name }) else {
            throw BrokerError(.topicUnknown, "there is no topic \(name)")
        }
        return topic
    }
}

extension Invocation {
    /// The settings with the user's changes.
    /// - Throws: A usage failure that names the key, or the range.
    func applied(to settings: TopicSettings, checksRanges: Bool = true) throws(Failure) -> TopicSettings {
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
