package import BrokerProtocol

/// Sends each mail once, in SQLite: an intent before, a mark after. Processes may share the file.
///
/// 1. The intent is durable first. It holds the time and the transport's name, so that every try makes the same bytes
///    under the same name.
/// 2. Delivery and mark happen under the file's write lock: of two processes with the same mail, the second finds the
///    mark. A crash before the mark leaves the intent, and the next try finds under its name what the transport has.
package struct Outbox {
    private let database: Database
    private let transport: any MailTransport

    private static let schema = """
        CREATE TABLE mail (
            message_id TEXT PRIMARY KEY,
            order_id TEXT NOT NULL,
            template TEXT NOT NULL,
            transport_name TEXT NOT NULL UNIQUE,
            intended_at INTEGER NOT NULL,
            sent_at INTEGER
        ) STRICT, WITHOUT ROWID;
        """

    package static func open(path: String) throws -> Database {
        let database = try Database(path: path)
        try database.prepareSchema(version: 1, schema)
        return database
    }

    package init(_ database: Database, transport: any MailTransport) {
        self.database = database
        self.transport = transport
    }

    /// Sends the mail, unless it is sent; it is with the transport, and recorded, on return.
    package func send(
        _ text: MailText, about orderID: String, from: MailAddress, to: MailAddress, now: WallTime
    ) throws {
        let id = MailID(template: text.template, orderID: orderID, domain: from.domain)
        let isFirstTry = try intend(id, text.template, orderID, now: now)
        try database.transaction {
            let intent = try database.first(
                "SELECT transport_name, intended_at FROM mail WHERE message_id = ? AND sent_at IS NULL",
                .text(id.description))
            guard let intent else { return }
            let message = MailMessage(
                id: id, date: WallTime(milliseconds: try intent.integer(1)), from: from, to: to,
                subject: text.subject, plain: text.plain, html: text.html)
            try transport.deliver(message.bytes(), as: try intent.text(0), now: now, isFirstTry: isFirstTry)
            try database.run(
                "UPDATE mail SET sent_at = ? WHERE message_id = ?", .integer(now.milliseconds), .text(id.description))
        }
    }

    /// - Returns: True when the intent is new.
    private func intend(_ id: MailID, _ template: MailTemplate, _ orderID: String, now: WallTime) throws -> Bool {
        try database.transaction {
            try database.run(
                """
                INSERT INTO mail (message_id, order_id, template, transport_name, intended_at) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (message_id) DO NOTHING
                """, .text(id.description), .text(orderID), .text(template.rawValue),
                .text(transport.newName(at: now)), .integer(now.milliseconds)) == 1
        }
    }
}
