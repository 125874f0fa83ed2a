import BrokerProtocol

/// A rule such as `CET-1CEST,M3.5.0,M10.5.0/3`: standard time, and each year's summer time if there is one.
/// Source: POSIX, `TZ`; RFC 9636, section 3.3.1.
struct PosixZone: Hashable {
    private struct Summer: Hashable {
        let offset: Int64
        let start: Change
        let end: Change
    }

    /// A moment of each year.
    private struct Change: Hashable {
        enum Day: Hashable {
            /// 1 to 365; 29 February is never counted.
            case julian(Int)
            /// 0 to 365.
            case ordinal(Int)
            /// The n-th such weekday of a month; the fifth is the last.
            case weekday(month: Int, week: Int, day: Int)
        }

        let day: Day
        /// Seconds of local time since midnight; may lie outside of the day.
        let time: Int64

        /// Seconds of local time since 1970-01-01.
        func seconds(in year: Int) -> Int64 {
            let newYear = CivilTime(year: year, month: 1, day: 1).days
            let days =
                switch day {
                case .julian(let number): newYear + number - 1 + (CivilTime.isLeap(year) && number > 59 ? 1 : 0)
                case .ordinal(let number): newYear + number
                case .weekday(let month, let week, let day): Self.day(day, week: week, month: month, of: year)
                }
            return Int64(days) * 86_400 + time
        }

        private static func day(_ weekday: Int, week: Int, month: Int, of year: Int) -> Int {
            let first = CivilTime(year: year, month: month, day: 1)
            var day = 1 + (weekday - first.weekday + 7) % 7 + 7 * (week - 1)
            while day > CivilTime.daysInMonth(month, of: year) { day -= 7 }
            return first.days + day - 1
        }
    }

    private let offset: Int64
    private let summer: Summer?

    /// - Returns: Nil when the text is no such rule.
    init?(_ text: String) {
        var scanner = Scanner(rest: Substring(text))
        guard scanner.name(), let west = scanner.time(hoursMax: 24) else { return nil }
        offset = -west
        if scanner.rest.isEmpty {
            summer = nil
            return
        }
        guard scanner.name() else { return nil }
        var east = offset + 3_600
        if scanner.rest.first != "," {
            guard let west = scanner.time(hoursMax: 24) else { return nil }
            east = -west
        }
        guard scanner.take(","), let start = scanner.change(), scanner.take(","), let end = scanner.change(),
            scanner.rest.isEmpty
        else { return nil }
        summer = Summer(offset: east, start: start, end: end)
    }

    private struct Scanner {
        var rest: Substring

        mutating func take(_ letter: Character) -> Bool {
            guard rest.first == letter else { return false }
            rest.removeFirst()
            return true
        }

        /// Three letters or more, or anything of letters, digits and signs in angle brackets.
        mutating func name() -> Bool {
            if take("<") {
                let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "+" || $0 == "-") }
                rest = rest.dropFirst(name.count)
                return name.count >= 3 && take(">")
            }
            let name = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(name.count)
            return name.count >= 3
        }

        mutating func number(_ range: ClosedRange<Int>) -> Int? {
            let digits = rest.prefix { ("0"..."9").contains($0) }
            guard (1...3).contains(digits.count), let number = Int(digits), range.contains(number) else { return nil }
            rest = rest.dropFirst(digits.count)
            return number
        }

        /// `[+-]h[:mm[:ss]]` in seconds.
        mutating func time(hoursMax: Int) -> Int64? {
            let sign: Int64 = take("-") ? -1 : 1
            if sign == 1 { _ = take("+") }
            guard let hours = number(0...hoursMax) else { return nil }
            var seconds = Int64(hours) * 3_600
            if take(":") {
                guard let minutes = number(0...59) else { return nil }
                seconds += Int64(minutes) * 60
                if take(":") {
                    guard let rest = number(0...59) else { return nil }
                    seconds += Int64(rest)
                }
            }
            return sign * seconds
        }

        mutating func change() -> Change? {
            guard let day = day() else { return nil }
            if !take("/") { return Change(day: day, time: 7_200) }
            guard let time = time(hoursMax: 167) else { return nil }
            return Change(day: day, time: time)
        }

        private mutating func day() -> Change.Day? {
            if take("J") { return number(1...365).map { .julian($0) } }
            if !take("M") { return number(0...365).map { .ordinal($0) } }
            guard let month = number(1...12), take("."), let week = number(1...5), take("."), let day = number(0...6)
            else { return nil }
            return .weekday(month: month, week: week, day: day)
        }
    }

    func period(at time: Int64) -> ZoneRules.Period {
        guard let summer else { return ZoneRules.Period(offset: offset, start: .min, end: .max) }
        let year = CivilTime(seconds: time).year
        var changes: [(at: Int64, offset: Int64)] = []
        for year in (year - 1)...(year + 2) {
            changes.append((summer.start.seconds(in: year) - offset, summer.offset))
            changes.append((summer.end.seconds(in: year) - summer.offset, offset))
        }
        // Summer time all year ends and begins in one moment; then the beginning counts.
        changes.sort { ($0.at, $0.offset == summer.offset ? 1 : 0) < ($1.at, $1.offset == summer.offset ? 1 : 0) }
        var period = ZoneRules.Period(offset: offset, start: .min, end: .max)
        for (index, change) in changes.enumerated() where change.at <= time {
            let end = index + 1 < changes.count ? changes[index + 1].at : .max
            period = ZoneRules.Period(offset: change.offset, start: change.at, end: end)
        }
        return period
    }
}
