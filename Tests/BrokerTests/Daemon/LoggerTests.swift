import DaemonKit
import Foundation
import LinuxIO
import Testing

@testable import DaemonKit

@Suite("Log")
struct LoggerTests {
    private func record(_ message: String, event: LogEvent? = nil, fields: [(String, String)] = []) -> LogRecord {
        LogRecord(
            level: .warning, event: event, message: message,
            fields: fields.map { LogRecord.Field(name: $0, value: $1) }, wallMilliseconds: 1_740_821_400_007)
    }

    @Test("The journal is taken only when it is really at the other end; a terminal has colours unless asked not to")
    func destinations() {
        typealias Surroundings = LogDestination.Surroundings
        let table: [(Surroundings, LogDestination)] = [
            (.init(journalStream: "8:77", standardError: "8:77"), .journal),
            (.init(journalStream: "8:77", standardError: "8:77", isTerminal: true), .journal),
            (.init(journalStream: "8:77", standardError: "8:78"), .jsonLines),
            (.init(journalStream: "8:77", standardError: "1:3", isTerminal: true), .terminal(isColoured: true)),
            (.init(journalStream: "8:77"), .jsonLines), (.init(), .jsonLines),
            (.init(isTerminal: true), .terminal(isColoured: true)),
            (.init(isTerminal: true, noColour: ""), .terminal(isColoured: true)),
            (.init(isTerminal: true, noColour: "1"), .terminal(isColoured: false)),
            (.init(isTerminal: true, terminalType: "dumb"), .terminal(isColoured: false)),
            (.init(isTerminal: true, terminalType: "xterm"), .terminal(isColoured: true)),
        ]
        for (surroundings, expected) in table { #expect(LogDestination(surroundings) == expected) }
    }

    @Test("JSON lines are one object each that a parser reads back, whatever the text")
    func json() throws {
        let texts = ["plain", "\"quoted\" \\ back", "line\nend\r\t", "\u{0}\u{1F}\u{7F}\u{1B}[31m", "Zoë ☕️ \u{2028}"]
        for text in texts {
            let line = LogText.json(record(text, event: .deadLettered, fields: [("A_B", text)]), program: "brokerd")
            #expect(line.hasSuffix("}\n"))
            #expect(line.dropLast().allSatisfy { !$0.isNewline || $0 == "\u{2028}" })
            let object = try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
            #expect(
                object == [
                    "time": "2025-03-01T09:30:00.007Z", "level": "warning", "program": "brokerd", "message": text,
                    "message_id": LogEvent.deadLettered.rawValue, "A_B": text,
                ])
        }
    }

    @Test("The journal gets native fields, with line ends as they are")
    func journal() {
        #expect(
            LogText.journal(record("a\nb", event: .ready, fields: [("BROKER_TOPIC", "t")]), program: "brokerd") == [
                "MESSAGE=a\nb", "PRIORITY=4", "SYSLOG_IDENTIFIER=brokerd", "MESSAGE_ID=\(LogEvent.ready.rawValue)",
                "BROKER_TOPIC=t",
            ])
    }

    @Test("A line on the terminal shows control characters instead of obeying them")
    func terminal() {
        let plain = LogText.terminal(record("a\u{1B}[2Jb\nc", fields: [("X", "1\r2")]), isColoured: false)
        #expect(plain == "09:30:00.007 warning  a\\u{1B}[2Jb\\nc  X=1\\r2\n")
        let coloured = LogText.terminal(record("hot"), isColoured: true)
        #expect(coloured.contains("\u{1B}[33mwarning"))
        #expect(coloured.hasSuffix("\u{1B}[0m\n"))
    }

    @Test("Times are those of the calendar, before 1970 and on leap days too")
    func times() {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        #expect(LogText.rfc3339(milliseconds: 0) == "1970-01-01T00:00:00.000Z")
        #expect(LogText.rfc3339(milliseconds: -1) == "1969-12-31T23:59:59.999Z")
        #expect(LogText.rfc3339(milliseconds: 951_782_400_000) == "2000-02-29T00:00:00.000Z")
        for day in stride(from: -40_000, through: 60_000, by: 37) {
            let milliseconds = Int64(day) * 86_400_000 + 43_200_500
            let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000)
            #expect(LogText.rfc3339(milliseconds: milliseconds) == formatter.string(from: date))
        }
    }

    @Test("Only records of the level and worse reach the sink; copies share a changed level")
    func levels() {
        let records = Monitor<[LogRecord]>([])
        let logger = Logger(level: .notice, wallMilliseconds: { 5 }) { record in records.update { $0.append(record) } }
        let copy = logger
        for level in LogLevel.allCases { logger.log(level, level.name) }
        #expect(records.with { $0.map(\.level) } == [.critical, .error, .warning, .notice])
        copy.setLevel(.debug)
        #expect(logger.isEnabled(.debug))
        logger.debug("now", ["BROKER_TOPIC": "t", "N_2": "x"])
        let last = records.with { $0.last }
        #expect(last?.fields.map(\.name) == ["BROKER_TOPIC", "N_2"])
        #expect(last?.wallMilliseconds == 5)
        logger.setLevel(.critical)
        logger.error("not seen", event: .storageFailed)
        #expect(records.with { $0.last?.message } == "now")
    }

    @Test("A level has one name, and only known names are read")
    func levelNames() {
        for level in LogLevel.allCases { #expect(LogLevel(name: level.name) == level) }
        #expect(LogLevel(name: "INFO") == nil)
        #expect(LogLevel(name: "") == nil)
    }

    @Test("Every event kind is explained in the journal's catalog, and no other")
    func catalog() throws {
        let catalog = try Repository.text("units/brokerd.catalog")
        let ids = catalog.split(separator: "\n").filter { $0.hasPrefix("-- ") }.map { String($0.dropFirst(3)) }
        #expect(Set(ids) == Set(LogEvent.allCases.map(\.rawValue)))
        #expect(ids.count == LogEvent.allCases.count)
        #expect(ids.allSatisfy { $0.count == 32 })
    }
}
