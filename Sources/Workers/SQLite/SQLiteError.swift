/// What SQLite refused, in its own words.
package struct SQLiteError: Error, Equatable, CustomStringConvertible {
    /// SQLite's extended result code.
    package let code: Int32
    package let message: String
    /// The statement, or the path of the file.
    package let subject: String

    package init(code: Int32, message: String, subject: String) {
        self.code = code
        self.message = message
        self.subject = subject
    }

    /// For instance `sqlite: database is locked (code 5): BEGIN IMMEDIATE`.
    package var description: String { "sqlite: \(message) (code \(code)): \(subject)" }

    private var primaryCode: Int32 { code & 0xFF }

    /// Another connection kept the lock longer than the busy timeout: try again later. SQLITE_BUSY, SQLITE_LOCKED.
    package var isBusy: Bool { primaryCode == 5 || primaryCode == 6 }
    /// SQLITE_FULL.
    package var isDiskFull: Bool { primaryCode == 13 }
}

/// A value on its way into or out of a statement.
package enum SQLiteValue: Equatable, Sendable {
    case null, integer(Int64), text(String)

    package static func integer(_ number: Int) -> SQLiteValue { .integer(Int64(number)) }
}

/// One row of a result, copied out of SQLite. A column of another type than asked for means that somebody else
/// changed the file's schema: it throws SQLITE_MISMATCH (20).
package struct SQLiteRow: Equatable, Sendable {
    private let statement: String
    private let values: [SQLiteValue]

    init(statement: String, values: [SQLiteValue]) {
        self.statement = statement
        self.values = values
    }

    private func mismatch(_ index: Int, _ wanted: String) -> SQLiteError {
        SQLiteError(code: 20, message: "column \(index) is \(values[index]), not \(wanted)", subject: statement)
    }

    package func integer(_ index: Int) throws(SQLiteError) -> Int64 {
        guard case .integer(let number) = values[index] else { throw mismatch(index, "an integer") }
        return number
    }

    package func count(_ index: Int) throws(SQLiteError) -> Int { Int(try integer(index)) }

    package func text(_ index: Int) throws(SQLiteError) -> String {
        guard case .text(let text) = values[index] else { throw mismatch(index, "a text") }
        return text
    }

    package func optionalText(_ index: Int) throws(SQLiteError) -> String? {
        values[index] == .null ? nil : try text(index)
    }
}
