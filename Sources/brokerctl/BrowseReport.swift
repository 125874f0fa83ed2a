import BrokerProtocol

/// A message as its subscription sees it.
struct BrowsedReport: Encodable {
    let id: UInt64
    let state: String
    let attempts: UInt32
    let deliveries: UInt32
    let redrives: UInt32
    let publishedAt: String
    let readyAt: String?
    let holder: String?
    let leaseMilliseconds: Int64?
    let lastError: String?
    let reason: String?
    let reasonCode: String?
    let deadAt: String?
    let priority: UInt8
    let orderingKey: String?
    let headers: [String: String]
    /// Only when it was asked for.
    let body: BodyReport?

    init(_ browsed: BrowsedMessage, hasBody: Bool) {
        let message = browsed.message
        id = message.id.rawValue
        state = browsed.state.name
        attempts = message.attempt
        deliveries = message.deliveries
        redrives = message.redrives
        publishedAt = message.publishedAt.text
        readyAt = browsed.readyAt?.text
        holder = browsed.holder
        leaseMilliseconds = browsed.leaseMilliseconds
        lastError = message.lastError
        reason = browsed.death?.reason
        reasonCode = browsed.death?.code?.name
        deadAt = browsed.death?.at.text
        priority = message.priority
        orderingKey = message.orderingKey
        headers = message.headers.dictionary
        body = hasBody ? BodyReport(message.body) : nil
    }

    /// What its state brings with it.
    fileprivate var particulars: String {
        if let holder {
            return holder.printable + (leaseMilliseconds.map { ", for \(SettingText.span(milliseconds: $0))" } ?? "")
        }
        if let readyAt { return "until \(readyAt)" }
        return reason?.printable ?? ""
    }
}

/// `browse`.
struct BrowseReport: Encodable {
    let schema = 1
    let subscription: String
    let messages: [BrowsedReport]
    /// More than `--limit` showed.
    let hasMore: Bool

    func text(_ style: Style) -> String {
        if messages.isEmpty { return "no such messages in \(subscription)\n" }
        var table = TextTable(
            .number("ID"), "STATE", .number("ATTEMPTS"), .number("DELIVERIES"), .number("PRIORITY"), "PUBLISHED AT",
            "DETAILS", "LAST ERROR", "BODY")
        for message in messages {
            table.add(
                "\(message.id)", message.state, "\(message.attempts)", "\(message.deliveries)", "\(message.priority)",
                message.publishedAt, message.particulars, message.lastError?.printable ?? "",
                message.body?.printable ?? "")
        }
        return table.text(style) + (hasMore ? "…and more: raise --limit\n" : "")
    }
}
