import BrokerProtocol
import Testing

@testable import Broker

@Suite("Cron lines") struct CronTests {
    private func first(_ line: String, from start: CivilTime) throws -> String? {
        guard case .fields(let fields) = try Cron(parsing: line) else { return nil }
        return fields.first(from: start.seconds).map { CivilTime(seconds: $0).text }
    }

    @Test(
        "A line names its first minute",
        arguments: [
            ("* * * * *", "2026-01-01T00:00:00Z"), ("*/15 * * * *", "2026-01-01T00:00:00Z"),
            ("5 * * * *", "2026-01-01T00:05:00Z"), ("0 9-17 * * mon-fri", "2026-01-01T09:00:00Z"),
            ("30 4 1,15 * *", "2026-01-01T04:30:00Z"), ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
            ("0 0 * jul *", "2026-07-01T00:00:00Z"), ("0 22 * * SUN", "2026-01-04T22:00:00Z"),
            ("0 22 * * 7", "2026-01-04T22:00:00Z"), ("0 22 * * fri-sun", "2026-01-02T22:00:00Z"),
            ("0 12 13 * fri", "2026-01-02T12:00:00Z"), ("10-50/20 3 * * *", "2026-01-01T03:10:00Z"),
            ("@hourly", "2026-01-01T00:00:00Z"), ("@weekly", "2026-01-04T00:00:00Z"),
            ("@monthly", "2026-01-01T00:00:00Z"), ("@yearly", "2026-01-01T00:00:00Z"),
            ("59 23 31 12 *", "2026-12-31T23:59:00Z"), ("0 0 * * */3", "2026-01-03T00:00:00Z"),
        ])
    func first(line: String, tick: String) throws {
        #expect(try first(line, from: CivilTime(year: 2026, month: 1, day: 1)) == tick)
    }

    @Test("A day that never comes is found out, and the longest gap is not taken for one")
    func never() throws {
        #expect(try first("0 0 31 2 *", from: CivilTime(year: 2026, month: 1, day: 1)) == nil)
        #expect(try first("0 0 29 2 *", from: CivilTime(year: 2096, month: 3, day: 1)) == "2104-02-29T00:00:00Z")
    }

    @Test("A span is 1s to 366d") func every() throws {
        #expect(try Cron(parsing: "@every 90s") == .every(90_000))
        for text in ["@every", "@every 0", "@every 999ms", "@every 367d", "@every 1s 2s", "@every x"] {
            #expect(throws: BrokerError.self) { try Cron(parsing: text) }
        }
    }

    @Test(
        "A wrong line is refused with the field and the value",
        arguments: [
            ("61 * * * *", "cron: minute `61`: 61 is not 0 to 59"),
            ("* 24 * * *", "cron: hour `24`: 24 is not 0 to 23"),
            ("* * 0 * *", "cron: day of month `0`: 0 is not 1 to 31"),
            ("* * * 13 *", "cron: month `13`: 13 is not 1 to 12"),
            ("* * * * 8", "cron: day of week `8`: 8 is not 0 to 7"),
            ("* * * mai *", "cron: month `mai`: `mai` is no value"),
            ("5-1 * * * *", "cron: minute `5-1`: the range `5-1` goes backwards"),
            ("*/0 * * * *", "cron: minute `*/0`: a step is a number from 1 on, not `0`"),
            ("5/2 * * * *", "cron: minute `5/2`: a step stands behind a range or *"),
            ("1,,2 * * * *", "cron: minute `1,,2`: `` is no value"),
            ("1-2-3 * * * *", "cron: minute `1-2-3`: `1-2-3` is no range"),
            ("*/2/3 * * * *", "cron: minute `*/2/3`: `*/2/3` has two steps"),
            ("* * * *", "cron: 4 fields; expected five: minute hour day-of-month month day-of-week"),
            ("", "cron: an empty line; expected five: minute hour day-of-month month day-of-week"),
            (
                "@often",
                "cron: `@often`; known are @every SPAN, @daily, @hourly, @monthly, @weekly, @yearly"
            ),
        ])
    func wrong(line: String, message: String) {
        #expect(throws: BrokerError(.settingInvalid, message)) { try Cron(parsing: line) }
    }

    @Test("Whatever the text is, it is read or refused") func anyText() {
        var random = SeededRandom(seed: 5)
        let alphabet = Array("0123456789*/-, @ewmonsuné\u{0}")
        for _ in 0..<20_000 {
            let length = Int.random(in: 0...20, using: &random)
            let text = String((0..<length).map { _ in alphabet[Int.random(in: alphabet.indices, using: &random)] })
            guard case .fields(let fields)? = try? Cron(parsing: text) else { continue }
            _ = fields.first(from: 0)
        }
    }

    @Test("Dates and counts of days agree over 800 years") func civil() {
        var date = CivilTime(year: 1600, month: 1, day: 1)
        let first = date.days
        var wrong: [String] = []
        for step in 0..<292_194 {
            let again = CivilTime(seconds: Int64(first + step) * 86_400 + 86_399)
            if date.days != first + step || (again.year, again.month, again.day) != (date.year, date.month, date.day) {
                wrong.append(date.text)
            }
            date.day += 1
            if date.day > CivilTime.daysInMonth(date.month, of: date.year) {
                date.day = 1
                date.month += 1
                if date.month > 12 { date = CivilTime(year: date.year + 1, month: 1, day: 1) }
            }
        }
        #expect(wrong == [])
        #expect(CivilTime(year: 2026, month: 11, day: 25).weekday == 3)
    }
}
