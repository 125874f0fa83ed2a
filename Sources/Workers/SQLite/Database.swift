private import CSQLite

/// One connection to a SQLite file, with its prepared statements. All calls block.
///
/// Not `Sendable`: it stays inside the thread that opened it, see ``DatabaseThread``. Several processes may have the
/// same file open: every transaction takes the write lock at its begin, and a call waits up to the busy timeout for it.
/// A committed transaction is safe from a power cut (`synchronous = FULL`).
@safe package final class Database {
    package let path: String
    private let connection: OpaquePointer
    private var statements: [String: Statement] = [:]
    private var isInTransaction = false

    @safe private struct Statement {
        let pointer: OpaquePointer
    }

    /// Opens or makes the file, in WAL mode, with foreign keys enforced.
    /// - Parameter busyTimeoutMilliseconds: How long a call waits for another connection's lock before it throws an
    ///   error whose ``SQLiteError/isBusy`` is true.
    package init(path: String, busyTimeoutMilliseconds: Int32 = 10_000) throws(SQLiteError) {
        self.path = path
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = unsafe sqlite3_open_v2(path, &opened, flags, nil)
        guard let handle = unsafe opened else {
            throw SQLiteError(code: code, message: "out of memory", subject: path)
        }
        unsafe connection = handle
        guard code == SQLITE_OK else { throw failure(code, path) }
        unsafe sqlite3_busy_timeout(connection, busyTimeoutMilliseconds)
        try switchToWriteAheadLog(timeoutMilliseconds: busyTimeoutMilliseconds)
        try execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
    }

    deinit {
        for statement in statements.values { unsafe sqlite3_finalize(statement.pointer) }
        unsafe sqlite3_close_v2(connection)
    }

    /// The switch needs the file for itself for a moment, and SQLite does not always wait for that by the busy timeout.
    private func switchToWriteAheadLog(timeoutMilliseconds: Int32) throws(SQLiteError) {
        var waited: Int32 = 0
        while true {
            do throws(SQLiteError) {
                return try execute("PRAGMA journal_mode = WAL")
            } catch {
                guard error.isBusy, waited < timeoutMilliseconds else { throw error }
                waited += sqlite3_sleep(10)
            }
        }
    }

    private func failure(_ code: Int32, _ subject: String) -> SQLiteError {
        SQLiteError(code: code, message: unsafe String(cString: sqlite3_errmsg(connection)), subject: subject)
    }

    /// Runs a script of statements that take no values and whose rows nobody needs.
    package func execute(_ script: String) throws(SQLiteError) {
        let code = unsafe sqlite3_exec(connection, script, nil, nil, nil)
        guard code == SQLITE_OK else { throw failure(code, script) }
    }

    /// Runs one statement.
    /// - Returns: How many rows it inserted, changed or removed.
    @discardableResult
    package func run(_ statement: String, _ values: SQLiteValue...) throws(SQLiteError) -> Int {
        _ = try rows(statement, values)
        return unsafe Int(sqlite3_changes64(connection))
    }

    /// All rows of one query, in its order.
    package func query(_ statement: String, _ values: SQLiteValue...) throws(SQLiteError) -> [SQLiteRow] {
        try rows(statement, values)
    }

    /// The first row of a query, nil when there is none.
    package func first(_ statement: String, _ values: SQLiteValue...) throws(SQLiteError) -> SQLiteRow? {
        try rows(statement, values).first
    }

    private func rows(_ text: String, _ values: [SQLiteValue]) throws(SQLiteError) -> [SQLiteRow] {
        let statement = unsafe try prepared(text)
        defer {
            unsafe sqlite3_reset(statement)
            unsafe sqlite3_clear_bindings(statement)
        }
        precondition(
            unsafe sqlite3_bind_parameter_count(statement) == values.count, "\(values.count) values for \(text)")
        for (index, value) in values.enumerated() {
            let code = unsafe bind(value, to: statement, at: Int32(index + 1))
            guard code == SQLITE_OK else { throw failure(code, text) }
        }
        let columnCount = unsafe sqlite3_column_count(statement)
        var rows: [SQLiteRow] = []
        while true {
            let code = unsafe sqlite3_step(statement)
            if code == SQLITE_DONE { return rows }
            guard code == SQLITE_ROW else { throw failure(code, text) }
            rows.append(
                SQLiteRow(statement: text, values: (0..<columnCount).map { unsafe column($0, of: statement) }))
        }
    }

    private func prepared(_ text: String) throws(SQLiteError) -> OpaquePointer {
        if let statement = statements[text] { return unsafe statement.pointer }
        var compiled: OpaquePointer?
        let code = unsafe sqlite3_prepare_v3(
            connection, text, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &compiled, nil)
        guard code == SQLITE_OK, let statement = unsafe compiled else { throw failure(code, text) }
        statements[text] = unsafe Statement(pointer: statement)
        return unsafe statement
    }

    private func bind(_ value: SQLiteValue, to statement: OpaquePointer, at index: Int32) -> Int32 {
        switch value {
        case .null: return unsafe sqlite3_bind_null(statement, index)
        case .integer(let number): return unsafe sqlite3_bind_int64(statement, index, number)
        case .text(let text):
            // SQLITE_TRANSIENT, a cast in C: SQLite copies the text before it returns.
            let copying = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
            return unsafe sqlite3_bind_text(statement, index, text, Int32(text.utf8.count), copying)
        }
    }

    private func column(_ index: Int32, of statement: OpaquePointer) -> SQLiteValue {
        switch unsafe sqlite3_column_type(statement, index) {
        case SQLITE_NULL: return .null
        case SQLITE_INTEGER: return .integer(unsafe sqlite3_column_int64(statement, index))
        default:
            guard let text = unsafe sqlite3_column_text(statement, index) else { return .null }
            let count = unsafe Int(sqlite3_column_bytes(statement, index))
            return .text(unsafe String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self))
        }
    }

    /// Takes the file's write lock, runs `body`, and commits; rolls all of it back when `body` throws.
    /// - Throws: What `body` threw, or ``SQLiteError``; nothing was changed then.
    package func transaction<Result>(_ body: () throws -> Result) throws -> Result {
        precondition(!isInTransaction, "a transaction inside a transaction")
        try run("BEGIN IMMEDIATE")
        isInTransaction = true
        defer { isInTransaction = false }
        do {
            let result = try body()
            try run("COMMIT")
            return result
        } catch {
            // Some errors, for instance a full disk, have rolled back already; then this one only says so.
            _ = try? run("ROLLBACK")
            throw error
        }
    }

    /// Makes the tables of a new file, or checks that the file is of this version.
    /// - Parameters:
    ///   - version: 1 or more; kept in the file as `user_version`.
    ///   - script: Makes all tables.
    /// - Throws: ``SQLiteError`` with the code of a schema mismatch when the file is of another version.
    package func prepareSchema(version: Int64, _ script: String) throws {
        try transaction {
            let found = try first("PRAGMA user_version")?.integer(0) ?? 0
            if found == version { return }
            guard found == 0 else {
                throw SQLiteError(
                    code: SQLITE_SCHEMA, message: "the file has version \(found), this program needs \(version)",
                    subject: path)
            }
            try execute(script)
            try execute("PRAGMA user_version = \(version)")
        }
    }
}
