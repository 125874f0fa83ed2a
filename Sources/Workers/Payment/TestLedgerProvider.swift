package import BrokerProtocol

/// A card processor's test mode, in a SQLite file: it keeps every charge and every idempotency key for ever, and these
/// tokens choose what happens.
///
/// | token | what the ledger does |
/// |---|---|
/// | `tok_ok` | charges |
/// | `tok_declined` | declines with `card_declined` |
/// | `tok_rate_limited` | the first call of a key is refused by the rate limit, the next one charges |
/// | `tok_timeout` | charges, and the answer to the first call of a key is lost |
/// | any other | declines with `token_unknown` |
///
/// Any number of processes may use the same file at the same time.
package struct TestLedgerProvider: PaymentProvider {
    package enum Token {
        package static let succeeds = "tok_ok"
        package static let declined = "tok_declined"
        package static let rateLimitedOnce = "tok_rate_limited"
        package static let timesOutAfterCharging = "tok_timeout"
    }

    private static let retryAfter = Duration.seconds(1)

    private static let schema = """
        CREATE TABLE request (
            key TEXT PRIMARY KEY,
            parameters TEXT NOT NULL,
            calls INTEGER NOT NULL,
            charge_id TEXT,
            failure_code TEXT,
            failure_message TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE charge (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE REFERENCES request,
            order_id TEXT NOT NULL,
            amount INTEGER NOT NULL,
            currency TEXT NOT NULL,
            charged_at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX charge_order ON charge (order_id);
        """

    private let ledger: DatabaseThread
    private let clock: @Sendable () -> WallTime

    package init(path: String, clock: @escaping @Sendable () -> WallTime) async throws {
        ledger = try await DatabaseThread(name: "test-ledger") {
            let database = try Database(path: path)
            try database.prepareSchema(version: 1, Self.schema)
            return database
        }
        self.clock = clock
    }

    package var keyLifetime: Duration? { nil }

    package func charge(_ charge: Charge, key: String) async throws(PaymentProviderError) -> ChargeResult {
        let now = clock()
        let answer: Result<ChargeResult, PaymentProviderError>
        do {
            answer = try await ledger.run { database in
                try database.transaction { try Self.answer(charge, key: key, now: now, database) }
            }
        } catch {
            throw .unavailable(reason: String(describing: error))
        }
        return try answer.get()
    }

    /// Every charge in the ledger, in its order: the order and the amount.
    package func charges() async throws -> [(orderID: String, amount: Int)] {
        try await ledger.run { database in
            try database.query("SELECT order_id, amount FROM charge ORDER BY number").map { row in
                (try row.text(0), try row.count(1))
            }
        }
    }

    private static func answer(
        _ charge: Charge, key: String, now: WallTime, _ database: Database
    ) throws -> Result<ChargeResult, PaymentProviderError> {
        let parameters = "\(charge.orderID) \(charge.amount) \(charge.currency) \(charge.token)"
        try database.run(
            "INSERT INTO request (key, parameters, calls) VALUES (?, ?, 0) ON CONFLICT DO NOTHING",
            .text(key), .text(parameters))
        let request = try database.first(
            """
            UPDATE request SET calls = calls + 1 WHERE key = ?
            RETURNING parameters, calls, charge_id, failure_code, failure_message
            """, .text(key))
        guard let request, try request.text(0) == parameters else { return .failure(.keyReused) }
        if let chargeID = try request.optionalText(2) { return .success(.succeeded(chargeID: chargeID)) }
        if let code = try request.optionalText(3) {
            return .success(.declined(code: code, message: try request.text(4)))
        }
        let isFirstCall = try request.count(1) == 1
        switch charge.token {
        case Token.rateLimitedOnce where isFirstCall: return .failure(.rateLimited(retryAfter: retryAfter))
        case Token.succeeds, Token.rateLimitedOnce:
            return .success(try record(charge, key: key, now: now, database))
        case Token.timesOutAfterCharging:
            let result = try record(charge, key: key, now: now, database)
            return isFirstCall ? .failure(.timedOut) : .success(result)
        case Token.declined:
            return .success(try recordFailure("card_declined", "The card was declined.", key: key, database))
        default:
            return .success(try recordFailure("token_unknown", "The payment method is not known.", key: key, database))
        }
    }

    private static func record(
        _ charge: Charge, key: String, now: WallTime, _ database: Database
    ) throws -> ChargeResult {
        let row = try database.first(
            """
            INSERT INTO charge (key, order_id, amount, currency, charged_at) VALUES (?, ?, ?, ?, ?) RETURNING number
            """, .text(key), .text(charge.orderID), .integer(charge.amount), .text(charge.currency),
            .integer(now.milliseconds))
        let chargeID = "ch_test_\(try row?.integer(0) ?? 0)"
        try database.run("UPDATE request SET charge_id = ? WHERE key = ?", .text(chargeID), .text(key))
        return .succeeded(chargeID: chargeID)
    }

    private static func recordFailure(
        _ code: String, _ message: String, key: String, _ database: Database
    ) throws -> ChargeResult {
        try database.run(
            "UPDATE request SET failure_code = ?, failure_message = ? WHERE key = ?",
            .text(code), .text(message), .text(key))
        return .declined(code: code, message: message)
    }
}
