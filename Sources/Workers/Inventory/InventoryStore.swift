package import BrokerProtocol

/// Stock and reservations in SQLite. Every event is one transaction, keyed by its order and kind: a second delivery
/// changes nothing and gives the first one's outcome again.
///
/// A unit of a SKU is available, held by a reservation, or sold; only ``seed(_:)`` and ``restock(_:by:)`` change the
/// sum.
package struct InventoryStore {
    private let database: Database
    private let reservationMilliseconds: Int64

    /// What became of a reservation; the texts stand in the database.
    private enum ReservationState: String {
        case held, sold, expired
        case givenBack = "given_back"
    }

    private static let schema = """
        CREATE TABLE stock (
            sku TEXT PRIMARY KEY,
            available INTEGER NOT NULL CHECK (available >= 0)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE reservation (
            order_id TEXT PRIMARY KEY,
            state TEXT NOT NULL CHECK (state IN ('held', 'sold', 'given_back', 'expired')),
            amount INTEGER NOT NULL,
            currency TEXT NOT NULL,
            expires_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX reservation_expiry ON reservation (expires_at) WHERE state = 'held';
        CREATE TABLE reservation_item (
            order_id TEXT NOT NULL REFERENCES reservation,
            sku TEXT NOT NULL REFERENCES stock,
            quantity INTEGER NOT NULL CHECK (quantity > 0),
            PRIMARY KEY (order_id, sku)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE inbox (
            order_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            event TEXT NOT NULL,
            message TEXT NOT NULL,
            reply_topic TEXT,
            reply TEXT,
            handled_at INTEGER NOT NULL,
            PRIMARY KEY (order_id, kind)
        ) STRICT, WITHOUT ROWID;
        """

    package static func open(path: String) throws -> Database {
        let database = try Database(path: path)
        try database.prepareSchema(version: 1, schema)
        return database
    }

    package init(_ database: Database, reservationMilliseconds: Int64) {
        self.database = database
        self.reservationMilliseconds = reservationMilliseconds
    }

    // MARK: Stock

    /// Gives each SKU that the stock does not know its first units; leaves the others alone, so that a restart does
    /// not fill the shelves again.
    package func seed(_ stock: [String: Int]) throws {
        try database.transaction {
            for (sku, available) in stock.sorted(by: { $0.key < $1.key }) {
                try database.run(
                    "INSERT INTO stock (sku, available) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    .text(sku), .integer(available))
            }
        }
    }

    /// Adds units of a SKU.
    package func restock(_ sku: String, by quantity: Int) throws {
        try database.run(
            """
            INSERT INTO stock (sku, available) VALUES (?, ?)
            ON CONFLICT DO UPDATE SET available = available + excluded.available
            """, .text(sku), .integer(quantity))
    }

    private func available(_ sku: String) throws -> Int {
        try database.first("SELECT available FROM stock WHERE sku = ?", .text(sku))?.count(0) ?? 0
    }

    /// - Returns: False when there are not so many; nothing is taken then.
    private func take(_ sku: String, _ quantity: Int) throws -> Bool {
        try database.run(
            "UPDATE stock SET available = available - ?1 WHERE sku = ?2 AND available >= ?1",
            .integer(quantity), .text(sku)) == 1
    }

    private func putBack(order: String, as state: ReservationState) throws {
        for item in try reservedItems(order) {
            try database.run(
                "UPDATE stock SET available = available + ? WHERE sku = ?", .integer(item.quantity), .text(item.sku))
        }
        try setState(order, state)
    }

    private func setState(_ order: String, _ state: ReservationState) throws {
        try database.run("UPDATE reservation SET state = ? WHERE order_id = ?", .text(state.rawValue), .text(order))
    }

    private func reservedItems(_ order: String) throws -> [(sku: String, quantity: Int)] {
        try database.query("SELECT sku, quantity FROM reservation_item WHERE order_id = ? ORDER BY sku", .text(order))
            .map { (try $0.text(0), try $0.count(1)) }
    }

    // MARK: Events

    /// Reserves all that the order asks for, or nothing.
    /// - Returns: Done, publishing `payment.process` or `order.rejected`.
    package func reserve(_ order: OrderCreated, message: String, now: WallTime) throws -> Outcome {
        try once(order, message: message, now: now) {
            try expire(now: now)
            let wanted = Dictionary(order.items.map { ($0.sku, $0.quantity) }, uniquingKeysWith: +)
                .sorted { $0.key < $1.key }
            let missing = try wanted.compactMap { sku, quantity in
                let available = try available(sku)
                return available >= quantity ? nil : (sku, quantity, available)
            }
            if !missing.isEmpty { return try .init(ofOrder: rejection(of: order, missing)) }
            let expiresAt = now.adding(milliseconds: reservationMilliseconds)
            try database.run(
                "INSERT INTO reservation (order_id, state, amount, currency, expires_at) VALUES (?, 'held', ?, ?, ?)",
                .text(order.orderID), .integer(order.total), .text(order.currency), .integer(expiresAt.milliseconds))
            for (sku, quantity) in wanted {
                let isTaken = try take(sku, quantity)
                assert(isTaken, "the write lock is ours since the count")
                try database.run(
                    "INSERT INTO reservation_item (order_id, sku, quantity) VALUES (?, ?, ?)",
                    .text(order.orderID), .text(sku), .integer(quantity))
            }
            return try .init(
                ofOrder: PaymentProcess(
                    orderID: order.orderID, amount: order.total, currency: order.currency,
                    paymentToken: order.paymentToken, customer: order.customer, items: order.items))
        }
    }

    private func rejection(of order: OrderCreated, _ missing: [(String, Int, Int)]) -> OrderRejected {
        let names = Dictionary(order.items.map { ($0.sku, $0.name) }, uniquingKeysWith: { first, _ in first })
        return OrderRejected(
            orderID: order.orderID, customer: order.customer,
            missing: missing.map { sku, requested, available in
                MissingItem(sku: sku, name: names[sku] ?? sku, requested: requested, available: available)
            })
    }

    /// The reserved goods are sold. When the reservation ended before, the money wins: the goods are taken again.
    /// - Returns: Done, publishing `order.paid`; dead when the amount is another one, or when the reservation ended and
    ///   the goods are gone.
    /// - Throws: ``InventoryError/reservationUnknown(order:)`` when `order.created` was not handled yet, or rejected.
    package func confirm(_ payment: PaymentCompleted, message: String, now: WallTime) throws -> Outcome {
        try once(payment, message: message, now: now) {
            let reservation = try reservation(payment.orderID)
            guard reservation.amount == payment.amount, reservation.currency == payment.currency else {
                throw Refusal(
                    reason: "amount: order \(payment.orderID) costs "
                        + "\(Money.text(reservation.amount, reservation.currency)), charge \(payment.chargeID) took "
                        + Money.text(payment.amount, payment.currency))
            }
            switch reservation.state {
            case .givenBack, .expired:
                for item in try reservedItems(payment.orderID) where try !take(item.sku, item.quantity) {
                    throw Refusal(
                        reason: "order \(payment.orderID) was paid after its reservation ended, and \(item.sku) is "
                            + "sold out: restock and redrive, or refund charge \(payment.chargeID)")
                }
            case .held, .sold: break
            }
            try setState(payment.orderID, .sold)
            return try .init(
                ofOrder: OrderPaid(
                    orderID: payment.orderID, chargeID: payment.chargeID, amount: payment.amount,
                    currency: payment.currency, customer: payment.customer, items: payment.items))
        }
    }

    /// Puts the reserved goods back into the stock, unless the reservation ended before.
    /// - Returns: Done; dead when the order is paid already.
    /// - Throws: ``InventoryError/reservationUnknown(order:)``.
    package func giveBack(_ payment: PaymentFailed, message: String, now: WallTime) throws -> Outcome {
        try once(payment, message: message, now: now) {
            switch try reservation(payment.orderID).state {
            case .held: try putBack(order: payment.orderID, as: .givenBack)
            case .sold:
                throw Refusal(reason: "order \(payment.orderID) is paid already; its goods are not given back")
            case .givenBack, .expired: break
            }
            return nil
        }
    }

    private func reservation(_ order: String) throws -> (state: ReservationState, amount: Int, currency: String) {
        let statement = "SELECT state, amount, currency FROM reservation WHERE order_id = ?"
        guard let row = try database.first(statement, .text(order)) else {
            throw InventoryError.reservationUnknown(order: order)
        }
        guard let state = ReservationState(rawValue: try row.text(0)) else {
            throw InventoryError.otherVersion(found: "a reservation that is \(try row.text(0))")
        }
        return (state, try row.count(1), try row.text(2))
    }

    /// Ends the reservations whose time is over. Part of every ``reserve(_:message:now:)``, because only there a unit
    /// more or less decides something.
    private func expire(now: WallTime) throws {
        let ended = try database.query(
            "SELECT order_id FROM reservation WHERE state = 'held' AND expires_at <= ? ORDER BY expires_at, order_id",
            .integer(now.milliseconds))
        for row in ended { try putBack(order: try row.text(0), as: .expired) }
    }

    // MARK: Inbox

    /// Ends the transaction without a trace of the event; a redrive handles it anew.
    private struct Refusal: Error {
        let reason: String
    }

    private func once<E: OrderEvent>(
        _ event: E, message: String, now: WallTime, _ work: () throws -> Publication?
    ) throws -> Outcome {
        let content = String(decoding: try EventCoding.encode(event), as: UTF8.self)
        do {
            return try database.transaction {
                if let earlier = try database.first(
                    "SELECT event, reply_topic, reply FROM inbox WHERE order_id = ? AND kind = ?",
                    .text(event.orderID), .text(E.topic.text))
                {
                    guard try earlier.text(0) == content else {
                        throw Refusal(reason: "order_id: \(E.topic) of order \(event.orderID) came with other content")
                    }
                    return .done(publishing: try reply(in: earlier))
                }
                let reply = try work()
                try database.run(
                    """
                    INSERT INTO inbox (order_id, kind, event, message, reply_topic, reply, handled_at)
                    VALUES (?, ?, ?, ?, ?, ?, ?)
                    """, .text(event.orderID), .text(E.topic.text), .text(content), .text(message),
                    reply.map { .text($0.message.topic.text) } ?? .null,
                    reply.map { .text(String(decoding: $0.message.body, as: UTF8.self)) } ?? .null,
                    .integer(now.milliseconds))
                return .done(publishing: reply.map { [$0] } ?? [])
            }
        } catch let refusal as Refusal {
            return .reject(refusal.reason)
        }
    }

    private func reply(in row: SQLiteRow) throws -> [Publication] {
        guard let topic = try row.optionalText(1), let body = try row.optionalText(2) else { return [] }
        func publication<E: OrderEvent>(_ type: E.Type) throws -> [Publication] {
            [try Publication(ofOrder: try EventCoding.decode(type, from: Array(body.utf8)))]
        }
        switch topic {
        case PaymentProcess.topic.text: return try publication(PaymentProcess.self)
        case OrderRejected.topic.text: return try publication(OrderRejected.self)
        case OrderPaid.topic.text: return try publication(OrderPaid.self)
        default: throw InventoryError.otherVersion(found: "an answer for \(topic)")
        }
    }
}

/// Worth a retry: the next attempt may find what is missing now.
package enum InventoryError: Error, Equatable, CustomStringConvertible {
    case reservationUnknown(order: String)
    /// The database holds what this version does not write.
    case otherVersion(found: String)

    package var description: String {
        switch self {
        case .reservationUnknown(let order): "order \(order) has no reservation"
        case .otherVersion(let found): "the inventory's database holds \(found), which this version does not know"
        }
    }
}
