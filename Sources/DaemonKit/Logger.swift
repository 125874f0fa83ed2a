private import LinuxIO
private import Synchronization

/// Where the lines of the log go, decided once at the start.
package enum LogDestination: Equatable, Sendable {
    /// Native fields, through libsystemd.
    case journal
    case terminal(isColoured: Bool)
    /// One object a line on standard error.
    case jsonLines

    /// What decides; a value, so that the rule is a table in the tests.
    package struct Surroundings: Sendable {
        /// `JOURNAL_STREAM`: device and inode of what systemd connected.
        package var journalStream: String?
        /// `device:inode` of standard error.
        package var standardError: String?
        package var isTerminal = false
        /// `NO_COLOR`.
        package var noColour: String?
        /// `TERM`.
        package var terminalType: String?

        package init(
            journalStream: String? = nil, standardError: String? = nil, isTerminal: Bool = false,
            noColour: String? = nil, terminalType: String? = nil
        ) {
            self.journalStream = journalStream
            self.standardError = standardError
            self.isTerminal = isTerminal
            self.noColour = noColour
            self.terminalType = terminalType
        }

        package static func current() -> Surroundings {
            Surroundings(
                journalStream: Process.environment("JOURNAL_STREAM"), standardError: Process.deviceAndInode(2),
                isTerminal: Process.isTerminal(2), noColour: Process.environment("NO_COLOR"),
                terminalType: Process.environment("TERM"))
        }
    }

    /// The journal only when it is still at the other end of standard error: a child of a service inherits the
    /// variable, but its output may have gone elsewhere since.
    package init(_ surroundings: Surroundings) {
        if let stream = surroundings.journalStream, stream == surroundings.standardError {
            self = .journal
        } else if surroundings.isTerminal {
            let isPlain = surroundings.noColour?.isEmpty == false || surroundings.terminalType == "dumb"
            self = .terminal(isColoured: !isPlain)
        } else {
            self = .jsonLines
        }
    }
}

/// Writes the log. A value that all threads may share; copies share their level.
///
/// Bodies of messages and addresses of customers are never logged.
package struct Logger: Sendable {
    private final class Threshold: Sendable {
        let priority: Atomic<Int>
        init(_ level: LogLevel) { priority = Atomic(level.rawValue) }
    }

    private let threshold: Threshold
    private let wallMilliseconds: @Sendable () -> Int64
    private let sink: @Sendable (LogRecord) -> Void

    /// - Parameter sink: Gets each record that passes the level, from any thread.
    package init(
        level: LogLevel = .info, wallMilliseconds: @escaping @Sendable () -> Int64 = Clocks.wallMilliseconds,
        sink: @escaping @Sendable (LogRecord) -> Void
    ) {
        threshold = Threshold(level)
        self.wallMilliseconds = wallMilliseconds
        self.sink = sink
    }

    /// - Parameter program: The name that stands in the journal, such as `brokerd`.
    package init(program: String, level: LogLevel = .info, to destination: LogDestination = .init(.current())) {
        self.init(level: level) { record in
            switch destination {
            case .journal: Systemd.sendToJournal(LogText.journal(record, program: program))
            case .terminal(let isColoured): Process.writeError(LogText.terminal(record, isColoured: isColoured))
            case .jsonLines: Process.writeError(LogText.json(record, program: program))
            }
        }
    }

    /// Changes the level of this logger and of all its copies.
    package func setLevel(_ level: LogLevel) { threshold.priority.store(level.rawValue, ordering: .relaxed) }

    package func isEnabled(_ level: LogLevel) -> Bool {
        level.rawValue <= threshold.priority.load(ordering: .relaxed)
    }

    /// - Parameter fields: Names as in ``LogRecord/Field/name``.
    package func log(
        _ level: LogLevel, _ message: @autoclosure () -> String, event: LogEvent? = nil,
        _ fields: @autoclosure () -> KeyValuePairs<String, String> = [:]
    ) {
        guard isEnabled(level) else { return }
        let list = fields().map { name, value in
            precondition(Self.isFieldName(name), "\(name) is no name of a log field")
            return LogRecord.Field(name: name, value: value)
        }
        sink(
            LogRecord(
                level: level, event: event, message: message(), fields: list, wallMilliseconds: wallMilliseconds()))
    }

    package func debug(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        log(.debug, message(), fields)
    }

    package func info(
        _ message: String, event: LogEvent? = nil, _ fields: KeyValuePairs<String, String> = [:]
    ) {
        log(.info, message, event: event, fields)
    }

    package func notice(
        _ message: String, event: LogEvent? = nil, _ fields: KeyValuePairs<String, String> = [:]
    ) {
        log(.notice, message, event: event, fields)
    }

    package func warning(
        _ message: String, event: LogEvent? = nil, _ fields: KeyValuePairs<String, String> = [:]
    ) {
        log(.warning, message, event: event, fields)
    }

    package func error(
        _ message: String, event: LogEvent? = nil, _ fields: KeyValuePairs<String, String> = [:]
    ) {
        log(.error, message, event: event, fields)
    }

    package func critical(
        _ message: String, event: LogEvent? = nil, _ fields: KeyValuePairs<String, String> = [:]
    ) {
        log(.critical, message, event: event, fields)
    }

    private static func isFieldName(_ name: String) -> Bool {
        guard let first = name.utf8.first, first != UInt8(ascii: "_"), name.utf8.count <= 64 else { return false }
        return name.utf8.allSatisfy { byte in
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || byte == UInt8(ascii: "_")
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
    }
}
