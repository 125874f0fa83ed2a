import BrokerProtocol
import Testing

@testable import Broker

@Suite("Ticks") struct TickTests {
    private let newYear = CivilTime(year: 2026, month: 1, day: 1).seconds

    private func plan(_ line: String, _ zone: String = "UTC") throws -> TickPlan {
        TickPlan(
            cron: try Cron(parsing: line), zone: zone == "UTC" ? .utc : ZoneFixture.zone(zone),
            anchor: WallTime(milliseconds: newYear * 1_000))
    }

    private func ticks(_ plan: TickPlan, after start: Int64, through end: Int64) -> [Int64] {
        var ticks: [Int64] = []
        var time = WallTime(milliseconds: start * 1_000)
        while let next = plan.next(after: time), next.milliseconds <= end * 1_000 {
            ticks.append(next.milliseconds / 1_000)
            time = next
        }
        return ticks
    }

    /// Looks at the clock each minute: what it shows for the first time is a tick when the line names it.
    private func naive(_ zone: ZoneRules, _ lines: [(CivilTime) -> Bool]) -> [[Int64]] {
        var ticks = [[Int64]](repeating: [], count: lines.count)
        var period = zone.period(at: newYear)
        var shown = newYear + period.offset
        for time in stride(from: newYear + 60, through: newYear + 365 * 86_400, by: 60) {
            if time >= period.end { period = zone.period(at: time) }
            let local = time + period.offset
            guard local > shown else { continue }
            let minutes = stride(from: shown + 60, through: local, by: 60).map { CivilTime(seconds: $0) }
            for (index, isNamed) in lines.enumerated() where minutes.contains(where: isNamed) {
                ticks[index].append(time)
            }
            shown = local
        }
        return ticks
    }

    private static let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]

    @Test("A year of ticks is what a look at the clock each minute finds", arguments: zones)
    func year(name: String) throws {
        let zone = name == "UTC" ? ZoneRules.utc : ZoneFixture.zone(name)
        let lines: [(String, (CivilTime) -> Bool)] = [
            ("* * * * *", { _ in true }),
            ("*/15 * * * *", { $0.minute % 15 == 0 }),
            ("30 2 * * *", { $0.minute == 30 && $0.hour == 2 }),
            ("0,30 1-3 * * sun", { $0.minute % 30 == 0 && (1...3).contains($0.hour) && $0.weekday == 0 }),
            ("15 2 29 3 *", { $0.minute == 15 && $0.hour == 2 && $0.day == 29 && $0.month == 3 }),
            ("7 0 13 * fri", { $0.minute == 7 && $0.hour == 0 && ($0.day == 13 || $0.weekday == 5) }),
        ]
        for ((line, _), expected) in zip(lines, naive(zone, lines.map(\.1))) {
            let found = ticks(try plan(line, name), after: newYear, through: newYear + 365 * 86_400)
            #expect(found == expected, "\(line)")
            #expect(found.count >= 1)
        }
    }

    @Test("A span counts from when it was set, whatever the time is")
    func every() throws {
        let plan = try plan("@every 90s")
        #expect(ticks(plan, after: newYear, through: newYear + 300) == [90, 180, 270].map { newYear + $0 })
        #expect(ticks(plan, after: newYear - 500, through: newYear + 100) == [newYear + 90])
        #expect(plan.next(after: WallTime(milliseconds: .max)) == nil)
        #expect(plan.last(after: WallTime(milliseconds: newYear * 1_000), through: WallTime(milliseconds: .max)) != nil)
    }

    @Test("The last tick of a stretch is found without counting all of them", arguments: zones)
    func last(zone: String) throws {
        var random = SeededRandom(seed: 3)
        for line in ["*/7 * * * *", "30 2 * * *", "0 0 1 * *", "@every 37s"] {
            let plan = try plan(line, zone)
            for _ in 0..<20 {
                let start = newYear + Int64.random(in: 0...300 * 86_400, using: &random)
                let end = start + Int64.random(in: 0...3 * 86_400, using: &random)
                let last = plan.last(
                    after: WallTime(milliseconds: start * 1_000), through: WallTime(milliseconds: end * 1_000))
                #expect(last?.milliseconds == ticks(plan, after: start, through: end).last.map { $0 * 1_000 })
            }
        }
    }
}
