import BrokerClient
import BrokerProtocol

extension Command {
    static let historyCommand = Command(
        words: ["history"], operands: "[ID]", operandCount: 0...1,
        summary: "Show where a message went",
        notes: """
            It reads the log, which the broker keeps for the time of its setting history after nothing in it is
            needed. What is older is unknown. Without an ID, --header finds the messages.
            """,
        options: [
            Option("header", value: "KEY=VALUE", help: "every message with this header"),
            Option("limit", short: "n", value: "N", help: "at most N events (default 1000)"),
        ], hasJSON: true
    ) { invocation in
        let query = try invocation.historyQuery()
        let limit = try invocation.number("limit", default: 1_000)
        let history = try await invocation.withBroker { try await $0.history(of: query, limit: limit) }
        let report = HistoryReport(history)
        if invocation.wantsJSON { return try invocation.console.print(json: report) }
        invocation.console.print(report.text(invocation.console.style))
    }
}

extension Invocation {
    fileprivate func historyQuery() throws(Failure) -> HistoryQuery {
        switch (input.operands.first, input.value("header")) {
        case (let id?, nil): return .message(try messageID(id))
        case (nil, let header?):
            let (key, value) = try pair(header)
            return .header(Header(key, value))
        case (nil, nil): throw wrong("an ID or --header is missing")
        case (_?, _?): throw wrong("an ID and --header exclude each other")
        }
    }
}

/// `history`, as brokerctl shows it.
struct HistoryReport: Encodable {
    let schema = 1
    let events: [Event]
    let hasMore: Bool

    struct Event: Encodable {
        let at: String?
        let id: UInt64
        let event: String
        let topic: String
        let subscription: String?
        let detail: String
    }

    init(_ history: MessageHistory) {
        events = history.events.map { event in
            Event(
                at: event.at?.text, id: event.message.rawValue, event: String(describing: event.kind),
                topic: event.topic.text, subscription: event.subscription, detail: event.detail)
        }
        hasMore = history.hasMore
    }

    func text(_ style: Style) -> String {
        if events.isEmpty { return "the log knows nothing of it\n" }
        var table = TextTable("TIME", .number("ID"), "EVENT", "WHERE", "DETAIL")
        for event in events {
            let place = event.topic + (event.subscription.map { "@\($0)" } ?? "")
            table.add(event.at ?? "", "\(event.id)", event.event, place, event.detail.printable)
        }
        return table.text(style) + (hasMore ? "…and more: raise --limit\n" : "")
    }
}
