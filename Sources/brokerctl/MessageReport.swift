import BrokerProtocol
import Foundation

/// A message's body: text where it is text.
struct BodyReport: Encodable, Equatable {
    let text: String?
    let base64: String?

    init(_ bytes: [UInt8]) {
        text = String(validating: bytes, as: UTF8.self)
        base64 = text == nil ? Data(bytes).base64EncodedString() : nil
    }

    /// One line for a terminal.
    var printable: String { text?.printable ?? "base64:\(base64 ?? "")" }
}

/// A message, as `tail` shows it.
struct MessageReport: Encodable {
    let id: UInt64
    let topic: String
    let publishedAt: String
    let headers: [String: String]
    let body: BodyReport

    init(_ message: Delivery) {
        id = message.id.rawValue
        topic = message.subscription.topic.text
        publishedAt = message.publishedAt.text
        headers = message.headers.dictionary
        body = BodyReport(message.body)
    }

    func text(_ style: Style) -> String {
        let pairs = headers.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)".printable + " " }.joined()
        return "\(style.bold("\(id)"))  \(publishedAt)  \(style.dim(pairs))" + body.printable
    }
}

extension [Header] {
    /// The last one of a key counts.
    var dictionary: [String: String] { Dictionary(map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }) }
}

/// A dead letter, as `dead list` and `dead show` show it.
struct DeadLetterReport: Encodable {
    let id: UInt64
    let subscription: String
    let reason: String
    let reasonCode: String?
    let lastError: String?
    let lastConsumer: String?
    let attempts: UInt32
    let deliveries: UInt32
    let redrives: UInt32
    let failedAt: [String]
    let publishedAt: String
    let deadAt: String
    let priority: UInt8
    let orderingKey: String?
    let headers: [String: String]
    let body: BodyReport

    init(_ letter: DeadLetter) {
        id = letter.id.rawValue
        subscription = letter.subscription.full
        reason = letter.reason
        reasonCode = letter.code?.name
        lastError = letter.lastError
        lastConsumer = letter.lastConsumer
        attempts = letter.attempts
        deliveries = letter.deliveries
        redrives = letter.redrives
        failedAt = letter.attemptTimes.map(\.text)
        publishedAt = letter.publishedAt.text
        deadAt = letter.deadAt.text
        priority = letter.priority
        orderingKey = letter.orderingKey
        headers = letter.headers.dictionary
        body = BodyReport(letter.body)
    }

    func text(_ style: Style) -> String {
        let rows =
            [
                ("message", "\(id)"), ("subscription", subscription), ("reason", style.red(reason.printable)),
                ("last error", lastError?.printable ?? "none"),
                ("last consumer", lastConsumer?.printable ?? "none"), ("attempts", "\(attempts)"),
                ("deliveries", "\(deliveries)"), ("redrives", "\(redrives)"), ("priority", "\(priority)"),
                ("ordering key", orderingKey?.printable ?? "none"), ("published", publishedAt), ("dead", deadAt),
            ] + failedAt.map { ("failed", $0) }
            + headers.sorted { $0.key < $1.key }.map { ("header", "\($0.key)=\($0.value)".printable) }
        return rows.map { style.bold($0) + String(repeating: " ", count: 15 - $0.count) + $1 + "\n" }.joined()
            + "\n" + body.printable + "\n"
    }
}

/// `dead list`.
struct DeadListReport: Encodable {
    let schema = 1
    let subscription: String
    let dead: [DeadLetterReport]
    /// More than `--limit` showed.
    let hasMore: Bool

    func text(_ style: Style) -> String {
        if dead.isEmpty { return "no dead letters in \(subscription)\n" }
        var table = TextTable(
            .number("ID"), .number("ATTEMPTS"), .number("REDRIVES"), "DEAD AT", "REASON", "LAST ERROR")
        for letter in dead {
            table.add(
                "\(letter.id)", "\(letter.attempts)", "\(letter.redrives)", letter.deadAt, letter.reason.printable,
                letter.lastError?.printable ?? "")
        }
        return table.text(style) + (hasMore ? "…and more: raise --limit\n" : "")
    }
}
