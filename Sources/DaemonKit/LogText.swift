/// The forms of a log record. Pure text; the sinks write it.
enum LogText {
    /// `NAME=value` for each field of the native journal.
    static func journal(_ record: LogRecord, program: String) -> [String] {
        var lines = [
            "MESSAGE=\(record.message)", "PRIORITY=\(record.level.rawValue)", "SYSLOG_IDENTIFIER=\(program)",
        ]
        if let event = record.event { lines.append("MESSAGE_ID=\(event.rawValue)") }
        return lines + record.fields.map { "\($0.name)=\($0.value)" }
    }

    /// For instance `14:03:07.120 warning  torn tail cut  LOG_FILE=00000003.log`, in UTC.
    static func terminal(_ record: LogRecord, isColoured: Bool) -> String {
        let time = rfc3339(milliseconds: record.wallMilliseconds).dropFirst(11).dropLast()
        let level = record.level.name + String(repeating: " ", count: 8 - record.level.name.count)
        let fields = record.fields.map { "  \($0.name)=\(visible($0.value))" }.joined()
        let message = visible(record.message)
        guard isColoured else { return "\(time) \(level) \(message)\(fields)\n" }
        let colour =
            switch record.level {
            case .critical, .error: "31"
            case .warning: "33"
            case .notice: "36"
            case .info: "32"
            case .debug: "2"
            }
        return "\u{1B}[2m\(time)\u{1B}[0m \u{1B}[\(colour)m\(level)\u{1B}[0m \(message)\u{1B}[2m\(fields)\u{1B}[0m\n"
    }

    /// One JSON object and a line end.
    static func json(_ record: LogRecord, program: String) -> String {
        var members = [
            ("time", rfc3339(milliseconds: record.wallMilliseconds)), ("level", record.level.name),
            ("program", program), ("message", record.message),
        ]
        if let event = record.event { members.append(("message_id", event.rawValue)) }
        members += record.fields.map { ($0.name, $0.value) }
        return "{" + members.map { "\(quoted($0)):\(quoted($1))" }.joined(separator: ",") + "}\n"
    }

    /// Text from outside must not move the cursor of whoever reads the log.
    private static func visible(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.properties.generalCategory == .control {
                result += scalar.escaped(asASCII: true)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// RFC 8259, section 7.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\0"..<" ", "\u{7F}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// RFC 3339 in UTC with milliseconds. The date comes from the count of days by Howard Hinnant's `civil_from_days`,
    /// which counts years from March so that the leap day comes last.
    static func rfc3339(milliseconds: Int64) -> String {
        func floored(_ number: Int64, by divisor: Int64) -> (Int64, Int64) {
            let remainder = (number % divisor + divisor) % divisor
            return ((number - remainder) / divisor, remainder)
        }
        let (days, inDay) = floored(milliseconds, by: 86_400_000)
        let (era, dayOfEra) = floored(days + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func padded(_ number: Int64, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
        let (hour, minute) = (padded(inDay / 3_600_000, 2), padded(inDay / 60_000 % 60, 2))
        return "\(date)T\(hour):\(minute):\(padded(inDay / 1_000 % 60, 2)).\(padded(inDay % 1_000, 3))Z"
    }
}
