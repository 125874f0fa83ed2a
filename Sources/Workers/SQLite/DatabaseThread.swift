private import LinuxIO

/// A ``Database`` and the one thread that uses it; keeps SQLite's waits off the threads that Swift's tasks share.
package final class DatabaseThread: Sendable {
    /// Unchecked, because the compiler cannot see it: only pieces of work on `thread` touch the database.
    private final class Confined: @unchecked Sendable {
        let database: Database
        init(_ database: Database) { self.database = database }
    }

    private let thread: BlockingThread
    private let confined: Confined

    /// Opens the database on a new thread.
    /// - Parameters:
    ///   - name: Of the thread; at most 15 bytes.
    ///   - open: Opens the file and makes its tables.
    package init(name: String, open: @escaping @Sendable () throws -> Database) async throws {
        let thread = BlockingThread(name: name)
        self.thread = thread
        confined = try await thread.run { Confined(try open()) }
    }

    /// Runs `body` on the thread, after the work that it has.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws -> Value {
        let confined = confined
        return try await thread.run { try body(confined.database) }
    }
}

extension Outcome {
    /// How long a message waits when a database stayed locked, or a disk is full: that says nothing about the message,
    /// so it costs no attempt.
    private static let busyPause = Duration.seconds(1)
    private static let diskFullPause = Duration.seconds(10)

    /// The verdict of the roles for an error that no rule of their own covers.
    static func forStoreError(_ error: any Error) -> Outcome {
        if error is CancellationError { return .release }
        if let error = error as? SQLiteError, error.isBusy { return .snooze(for: busyPause) }
        let isDiskFull = (error as? SQLiteError)?.isDiskFull ?? (error as? SystemError)?.isDiskFull ?? false
        if isDiskFull { return .snooze(for: diskFullPause) }
        return .fail
    }
}
