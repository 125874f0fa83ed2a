import BrokerClient
import BrokerProtocol
import DaemonKit
import LinuxIO

extension Command {
    static let browseCommands = [
        Command(
            words: ["browse"], operands: "TOPIC@NAME", operandCount: 1...1,
            summary: "Show the messages of a subscription, in every state, without changing anything",
            notes: """
                All that is given must hold. States are \(MessageState.allCases.map(\.name).joined(separator: ", ")).
                A SPAN is such as 30m, 12h, 7d, and counts from the publish by the clock of this machine.
                """,
            options: [
                Option("state", value: "STATE", help: "in this state (repeatable: one of them)"),
                Option("header", value: "KEY=VALUE", help: "has this header (repeatable: all of them)"),
                Option("key", value: "KEY", help: "has this ordering key"),
                Option("error", value: "TEXT", help: "the last error or the reason contains this"),
                Option("priority", value: "N", help: "has this priority"),
                Option("older-than", value: "SPAN", help: "published longer ago than this"),
                Option("newer-than", value: "SPAN", help: "published at most so long ago"),
                Option("from", value: "ID", help: "begin with this message or the next one"),
                Option("limit", short: "n", value: "N", help: "at most N (default 100)"),
                Option("bodies", help: "show bodies"),
            ], hasJSON: true, run: browse),
        Command(
            words: ["delete"], operands: "TOPIC@NAME ID…", operandCount: 2...10_000,
            summary: "Take messages from a subscription for good; leased ones stay",
            options: [Invocation.force, Invocation.noInput], run: delete),
    ]

    @MainActor private static func browse(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        var query = try invocation.query()
        let limit = Int(try invocation.number("limit", default: 100))
        let (messages, hasMore) = try await invocation.withBroker { client in
            var found: [BrowsedMessage] = []
            while true {
                query.limit = UInt32(min(limit - found.count, 1_000))
                let page = try await client.browse(name, query)
                found += page.messages
                guard let next = page.next else { return (found, false) }
                if found.count >= limit { return (found, true) }
                query.from = next
            }
        }
        let report = BrowseReport(
            subscription: name.full, messages: messages.map { BrowsedReport($0, hasBody: query.wantsBodies) },
            hasMore: hasMore)
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text(invocation.console.style))
    }

    @MainActor private static func delete(_ invocation: Invocation) async throws {
        let name = try invocation.subscription()
        var ids: [MessageID] = []
        for text in invocation.input.operands.dropFirst() { ids.append(try invocation.messageID(text)) }
        try invocation.confirm("delete \(ids.count) messages of \(name.full)", name: name.full)
        let results = try await invocation.withBroker { try await $0.delete(ids, from: name) }
        let refusals = results.compactMap { $0 }
        invocation.console.print("deleted \(ids.count - refusals.count) messages of \(name.full)")
        if let first = refusals.first { throw first }
    }
}

extension Invocation {
    fileprivate func query() throws(Failure) -> BrowseQuery {
        var query = BrowseQuery()
        for name in input.values("state") {
            guard let state = MessageState(name: name) else {
                throw wrong("`\(name)` is no state: \(MessageState.allCases.map(\.name).joined(separator: ", "))")
            }
            query.states.insert(state)
        }
        query.headers = try headers()
        query.orderingKey = input.value("key")
        query.errorContains = input.value("error")
        if let text = input.value("priority") {
            guard let priority = UInt8(text), priority <= 9 else { throw wrong("--priority \(text): expected 0 to 9") }
            query.priority = priority
        }
        query.publishedBefore = try before("older-than")
        query.publishedFrom = try before("newer-than")
        if let text = input.value("from") { query.from = try messageID(text) }
        query.wantsBodies = input.has("bodies")
        return query
    }

    /// The pairs of `--header`.
    func headers() throws(Failure) -> [Header] {
        var headers: [Header] = []
        for text in input.values("header") {
            let (key, value) = try pair(text)
            headers.append(Header(key, value))
        }
        return headers
    }

    static var now: WallTime { WallTime(milliseconds: Clocks.wallMilliseconds()) }

    /// The time that lies so long ago as an option says.
    func before(_ option: String) throws(Failure) -> WallTime? {
        guard let text = input.value(option) else { return nil }
        guard let span = SettingText.milliseconds(text) else {
            throw wrong("--\(option) \(text): expected a time span such as 250ms, 30s, 10m, 12h, 7d")
        }
        return Self.now.adding(milliseconds: -span)
    }
}
