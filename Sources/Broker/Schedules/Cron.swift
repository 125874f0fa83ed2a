import BrokerProtocol

/// When a schedule ticks: five fields of local time, or a span.
enum Cron: Hashable {
    case fields(CronFields)
    /// Milliseconds from one tick to the next.
    case every(Int64)

    static let everyRange: ClosedRange<Int64> = 1_000...366 * 86_400_000

    /// - Throws: `SETTING_INVALID` that names the field and its value.
    init(parsing text: String) throws(BrokerError) {
        let words = text.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        guard let first = words.first else { throw Self.wrong("an empty line; expected \(Self.form)") }
        if first == "@every" {
            guard words.count == 2, let span = SettingText.milliseconds(words[1]), Self.everyRange.contains(span)
            else { throw Self.wrong("`\(text.clipped(toBytes: 100))`; @every takes a span from 1s to 366d") }
            self = .every(span)
            return
        }
        if first.hasPrefix("@") {
            guard words.count == 1, let line = Self.names[first] else {
                let known = Self.names.keys.sorted().joined(separator: ", ")
                throw Self.wrong("`\(text.clipped(toBytes: 100))`; known are @every SPAN, \(known)")
            }
            self = .fields(try CronFields(line.split(separator: " ").map(String.init)))
            return
        }
        guard words.count == 5 else { throw Self.wrong("\(words.count) fields; expected \(Self.form)") }
        self = .fields(try CronFields(words))
    }

    private static let form = "five: minute hour day-of-month month day-of-week"
    private static let names = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
    ]

    static func wrong(_ text: String) -> BrokerError { BrokerError(.settingInvalid, "cron: \(text)") }
}

/// The minutes of local time that a cron line names, as sets of bits.
struct CronFields: Hashable {
    private let minutes: UInt64
    private let hours: UInt64
    private let days: UInt64
    private let months: UInt64
    private let weekdays: UInt64
    private let hasDays: Bool
    private let hasWeekdays: Bool

    /// - Parameter words: Exactly five.
    fileprivate init(_ words: [String]) throws(BrokerError) {
        minutes = try Field.minute.bits(words[0])
        hours = try Field.hour.bits(words[1])
        days = try Field.day.bits(words[2])
        months = try Field.month.bits(words[3])
        let weekdays = try Field.weekday.bits(words[4])
        // 7 is Sunday as well.
        self.weekdays = (weekdays | weekdays >> 7) & 0x7F
        hasDays = words[2] != "*"
        hasWeekdays = words[4] != "*"
    }

    /// One of the five, with the values and names that it takes.
    private struct Field {
        let name: String
        let range: ClosedRange<Int>
        var names: [String] = []
        private var isOfWeek: Bool { names.count == 7 }

        static let minute = Field(name: "minute", range: 0...59)
        static let hour = Field(name: "hour", range: 0...23)
        static let day = Field(name: "day of month", range: 1...31)
        static let month = Field(
            name: "month", range: 1...12,
            names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
        static let weekday = Field(
            name: "day of week", range: 0...7, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"])

        /// A list of values, ranges and `*`; the latter two may have a step.
        func bits(_ text: String) throws(BrokerError) -> UInt64 {
            var bits: UInt64 = 0
            for item in text.split(separator: ",", omittingEmptySubsequences: false) {
                let parts = item.split(separator: "/", omittingEmptySubsequences: false)
                guard parts.count <= 2 else { throw wrong(text, "`\(item)` has two steps") }
                var step = 1
                if parts.count == 2 {
                    guard let number = number(parts[1]), number > 0 else {
                        throw wrong(text, "a step is a number from 1 on, not `\(parts[1])`")
                    }
                    step = number
                }
                let isRange = parts[0] == "*" || parts[0].contains("-")
                if parts.count == 2 && !isRange { throw wrong(text, "a step stands behind a range or *") }
                let values = try values(parts[0], of: text)
                for value in stride(from: values.lowerBound, through: values.upperBound, by: step) {
                    bits |= 1 << UInt64(value)
                }
            }
            return bits
        }

        private func values(_ item: Substring, of text: String) throws(BrokerError) -> ClosedRange<Int> {
            // The second Sunday would be one value too many for a step.
            if item == "*" { return range.lowerBound...(isOfWeek ? 6 : range.upperBound) }
            let ends = item.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count <= 2 else { throw wrong(text, "`\(item)` is no range") }
            let first = try value(ends[0], of: text)
            guard ends.count == 2 else { return first...first }
            var last = try value(ends[1], of: text)
            if last == 0 && first > 0 && isOfWeek { last = 7 }
            guard first <= last else { throw wrong(text, "the range `\(item)` goes backwards") }
            return first...last
        }

        private func value(_ word: Substring, of text: String) throws(BrokerError) -> Int {
            if let index = names.firstIndex(of: word.lowercased()) { return index + range.lowerBound }
            guard let number = number(word) else { throw wrong(text, "`\(word)` is no value") }
            guard range.contains(number) else {
                throw wrong(text, "\(number) is not \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }

        private func number(_ word: Substring) -> Int? {
            (1...4).contains(word.utf8.count) && word.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(word) : nil
        }

        private func wrong(_ text: String, _ reason: String) -> BrokerError {
            Cron.wrong("\(name) `\(text)`: \(reason)".clipped(toBytes: 300))
        }
    }

    /// A line that has no tick within so many years has none: the longest gap is that of 29 February.
    private static let yearsMax = 9

    /// - Parameter start: Seconds of local time since 1970-01-01, a whole minute.
    /// - Returns: The first minute that the fields name, from `start` on; nil when there is none.
    func first(from start: Int64) -> Int64? {
        var time = CivilTime(seconds: start)
        let lastYear = time.year + Self.yearsMax
        while time.year <= lastYear {
            if !Self.has(months, time.month) {
                time =
                    time.month == 12
                    ? CivilTime(year: time.year + 1, month: 1, day: 1)
                    : CivilTime(year: time.year, month: time.month + 1, day: 1)
            } else if !hasDay(time) {
                time = Self.nextDay(time)
            } else if let found = firstOfDay(from: time) {
                return found.seconds
            } else {
                time = Self.nextDay(time)
            }
        }
        return nil
    }

    private func firstOfDay(from start: CivilTime) -> CivilTime? {
        var time = start
        while time.hour < 24 {
            if Self.has(hours, time.hour), let minute = Self.first(of: minutes, from: time.minute) {
                time.minute = minute
                return time
            }
            time.hour += 1
            time.minute = 0
        }
        return nil
    }

    /// When both days are given, either is enough.
    private func hasDay(_ time: CivilTime) -> Bool {
        let isDay = Self.has(days, time.day)
        let isWeekday = Self.has(weekdays, time.weekday)
        return hasDays && hasWeekdays ? isDay || isWeekday : isDay && isWeekday
    }

    private static func nextDay(_ time: CivilTime) -> CivilTime {
        if time.day < CivilTime.daysInMonth(time.month, of: time.year) {
            return CivilTime(year: time.year, month: time.month, day: time.day + 1)
        }
        return time.month == 12
            ? CivilTime(year: time.year + 1, month: 1, day: 1)
            : CivilTime(year: time.year, month: time.month + 1, day: 1)
    }

    private static func has(_ bits: UInt64, _ value: Int) -> Bool { bits >> UInt64(value) & 1 != 0 }

    private static func first(of bits: UInt64, from value: Int) -> Int? {
        let rest = value < 64 ? bits >> UInt64(value) : 0
        return rest == 0 ? nil : value + rest.trailingZeroBitCount
    }
}
