package import BrokerProtocol

/// The payment role's memory in SQLite: one row per order, written before the provider is asked for the first time.
package struct PaymentStore {
    private let database: Database

    private static let schema = """
        CREATE TABLE payment (
            order_id TEXT PRIMARY KEY,
            idempotency_key TEXT NOT NULL UNIQUE,
            amount INTEGER NOT NULL,
            currency TEXT NOT NULL,
            token TEXT NOT NULL,
            message TEXT NOT NULL,
            begun_at INTEGER NOT NULL,
            charge_id TEXT,
            failure_code TEXT,
            failure_message TEXT,
            ended_at INTEGER,
            CHECK ((ended_at IS NULL) = (charge_id IS NULL AND failure_code IS NULL))
        ) STRICT, WITHOUT ROWID;
        """

    package static func open(path: String) throws -> Database {
        let database = try Database(path: path)
        try database.prepareSchema(version: 1, schema)
        return database
    }

    package init(_ database: Database) { self.database = database }

    /// What is known about an order's payment.
    package enum Progress: Equatable, Sendable {
        /// Nobody has asked the provider yet.
        case begun(key: String)
        /// Somebody may have asked the provider; without a last word.
        case unclear(key: String, since: WallTime)
        case ended(ChargeResult)
        /// The order's payment began with another charge.
        case otherCharge(Charge)
    }

    /// Records the intent to charge, unless it is recorded; durable on return.
    package func begin(_ charge: Charge, message: String, now: WallTime) throws -> Progress {
        try database.transaction {
            let key = Self.key(charge)
            let isNew =
                try database.run(
                    """
                    INSERT INTO payment (order_id, idempotency_key, amount, currency, token, message, begun_at)
                    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING
                    """, .text(charge.orderID), .text(key), .integer(charge.amount), .text(charge.currency),
                    .text(charge.token), .text(message), .integer(now.milliseconds)) == 1
            if isNew { return .begun(key: key) }
            let row = try row(charge.orderID)
            let recorded = Charge(
                orderID: charge.orderID, amount: try row.count(1), currency: try row.text(2), token: try row.text(3))
            guard recorded == charge else { return .otherCharge(recorded) }
            if let result = try result(in: row) { return .ended(result) }
            return .unclear(key: try row.text(0), since: WallTime(milliseconds: try row.integer(4)))
        }
    }

    /// Records the provider's last word.
    /// - Returns: The word that counts: when two processes asked at the same time, the first one recorded.
    package func end(_ orderID: String, _ result: ChargeResult, now: WallTime) throws -> ChargeResult {
        try database.transaction {
            if let earlier = try self.result(in: try row(orderID)) { return earlier }
            let values: [SQLiteValue] =
                switch result {
                case .succeeded(let chargeID): [.text(chargeID), .null, .null]
                case .declined(let code, let message): [.null, .text(code), .text(message)]
                }
            try database.run(
                """
                UPDATE payment SET charge_id = ?, failure_code = ?, failure_message = ?, ended_at = ?
                WHERE order_id = ?
                """, values[0], values[1], values[2], .integer(now.milliseconds), .text(orderID))
            return result
        }
    }

    /// The same order, operation and amount have the same key, in every process and for ever.
    package static func key(_ charge: Charge) -> String {
        "charge:\(charge.orderID):\(charge.amount):\(charge.currency)"
    }

    private func row(_ orderID: String) throws(SQLiteError) -> SQLiteRow {
        let statement = """
            SELECT idempotency_key, amount, currency, token, begun_at, charge_id, failure_code, failure_message
            FROM payment WHERE order_id = ?
            """
        guard let row = try database.first(statement, .text(orderID)) else {
            throw SQLiteError(code: 12, message: "the payment of order \(orderID) is gone", subject: database.path)
        }
        return row
    }

    private func result(in row: SQLiteRow) throws -> ChargeResult? {
        if let chargeID = try row.optionalText(5) { return .succeeded(chargeID: chargeID) }
        if let code = try row.optionalText(6) { return .declined(code: code, message: try row.text(7)) }
        return nil
    }
}
