import Foundation
import Testing
import Workers

@Suite struct DatabaseTests {
    private let directory: ScratchDirectory
    private let path: String

    init() throws {
        directory = try ScratchDirectory()
        path = directory.file("test.sqlite")
    }

    private struct Stop: Error {}

    @Test("Values come back as they went in")
    func values() throws {
        let database = try Database(path: path)
        try database.execute("CREATE TABLE t (number INTEGER, text TEXT) STRICT")
        let texts = ["", "Zoë 🫘", "it's", "a\u{0}b", String(repeating: "x", count: 100_000)]
        for text in texts {
            #expect(try database.run("INSERT INTO t VALUES (?, ?)", .integer(Int64.min), .text(text)) == 1)
        }
        try database.run("INSERT INTO t VALUES (?, ?)", .null, .null)
        let rows = try database.query("SELECT number, text FROM t ORDER BY rowid")
        #expect(try rows.dropLast().map { try $0.text(1) } == texts)
        #expect(try rows[0].integer(0) == .min)
        #expect(try rows.last?.optionalText(1) == nil)
        #expect(throws: SQLiteError.self) { try rows[0].text(0) }
        #expect(throws: SQLiteError.self) { try rows[0].integer(1) }
    }

    @Test("A transaction that throws changes nothing, and the next one works")
    func rollback() throws {
        let database = try Database(path: path)
        try database.execute("CREATE TABLE t (a INTEGER CHECK (a > 0)) STRICT")
        #expect(throws: Stop.self) {
            try database.transaction {
                try database.run("INSERT INTO t VALUES (1)")
                throw Stop()
            }
        }
        let error = #expect(throws: SQLiteError.self) {
            try database.transaction {
                try database.run("INSERT INTO t VALUES (1)")
                try database.run("INSERT INTO t VALUES (0)")
            }
        }
        #expect(error?.description == "sqlite: CHECK constraint failed: a > 0 (code 275): INSERT INTO t VALUES (0)")
        try database.transaction { _ = try database.run("INSERT INTO t VALUES (2)") }
        #expect(try database.query("SELECT a FROM t").map { try $0.integer(0) } == [2])
    }

    @Test("A lock that another connection keeps is told as busy, and goes with its transaction")
    func busy() throws {
        let first = try Database(path: path)
        try first.execute("CREATE TABLE t (a INTEGER) STRICT")
        let second = try Database(path: path, busyTimeoutMilliseconds: 1)
        try first.transaction {
            let error = #expect(throws: SQLiteError.self) {
                try second.transaction { _ = try second.run("INSERT INTO t VALUES (1)") }
            }
            #expect(error?.isBusy == true)
        }
        try second.transaction { _ = try second.run("INSERT INTO t VALUES (1)") }
        #expect(try first.first("SELECT count(*) FROM t")?.integer(0) == 1)
    }

    @Test("Many connections that open a new file at once all get it, with its tables made once")
    func openedAtOnce() async throws {
        for round in 0..<40 {
            let path = directory.file("round-\(round).sqlite")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<8 {
                    group.addTask {
                        let thread = try await DatabaseThread(name: "open-\(index)") {
                            let database = try Database(path: path)
                            try database.prepareSchema(version: 1, "CREATE TABLE t (a INTEGER) STRICT")
                            return database
                        }
                        try await thread.run { _ = try $0.run("INSERT INTO t VALUES (1)") }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try Database(path: path).first("SELECT count(*) FROM t")?.integer(0) == 8)
        }
    }

    @Test("A file of another version, a file that is no database and a missing directory are refused by name")
    func refusals() throws {
        let database = try Database(path: path)
        try database.prepareSchema(version: 2, "CREATE TABLE t (a INTEGER)")
        let version = #expect(throws: SQLiteError.self) { try database.prepareSchema(version: 1, "") }
        #expect(version?.message == "the file has version 2, this program needs 1")
        let text = directory.file("text")
        try Data(repeating: 0x41, count: 4096).write(to: URL(filePath: text))
        let damage = #expect(throws: SQLiteError.self) { try Database(path: text) }
        #expect(damage?.message == "file is not a database")
        let missing = #expect(throws: SQLiteError.self) { try Database(path: directory.file("no/where")) }
        #expect(missing?.subject == directory.file("no/where"))
    }

    @Test("What is committed is durable: write-ahead log, synced at every commit, foreign keys enforced")
    func settings() throws {
        let database = try Database(path: path)
        #expect(try database.first("PRAGMA journal_mode")?.text(0) == "wal")
        #expect(try database.first("PRAGMA synchronous")?.integer(0) == 2)
        #expect(try database.first("PRAGMA foreign_keys")?.integer(0) == 1)
    }
}
