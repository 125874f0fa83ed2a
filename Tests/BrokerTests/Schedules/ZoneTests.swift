import BrokerProtocol
import Testing

@testable import Broker

@Suite("Time zones") struct ZoneTests {
    private func utc(_ year: Int, _ month: Int, _ day: Int, _ hour: Int = 0, _ minute: Int = 0) -> Int64 {
        CivilTime(year: year, month: month, day: day, hour: hour, minute: minute).seconds
    }

    @Test("A rule has summer and winter, north and south of the equator, with half hours")
    func rules() {
        let berlin = ZoneFixture.zone("Europe/Berlin")
        #expect(berlin.period(at: utc(2026, 1, 1)).offset == 3_600)
        #expect(berlin.period(at: utc(2026, 7, 1)).offset == 7_200)
        #expect(berlin.period(at: utc(2026, 3, 29, 1)).start == utc(2026, 3, 29, 1))
        #expect(berlin.period(at: utc(2026, 10, 25, 1)).start == utc(2026, 10, 25, 1))
        let newYork = ZoneFixture.zone("America/New_York")
        #expect(newYork.period(at: utc(2026, 3, 8, 7)).offset == -4 * 3_600)
        #expect(newYork.period(at: utc(2026, 3, 8, 6, 59)).offset == -5 * 3_600)
        let lordHowe = ZoneFixture.zone("Australia/Lord_Howe")
        #expect(lordHowe.period(at: utc(2026, 1, 1)).offset == 11 * 3_600)
        #expect(lordHowe.period(at: utc(2026, 7, 1)).offset == 10 * 3_600 + 1_800)
        #expect(ZoneFixture.zone("Asia/Kolkata").period(at: utc(2026, 7, 1)).offset == 5 * 3_600 + 1_800)
    }

    @Test(
        "The machine's database says the same as the rules, for each hour of a year",
        arguments: ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
    func database(name: String) throws {
        let bytes = try #require(ZoneDirectory.read(name))
        let zone = try ZoneRules(parsing: bytes)
        let rules = ZoneFixture.zone(name)
        for year in [2026, 2045] {
            let hours = stride(from: utc(year, 1, 1), to: utc(year + 1, 1, 1), by: 3_600)
            #expect(hours.filter { zone.period(at: $0).offset != rules.period(at: $0).offset } == [])
        }
    }

    @Test("Every zone of the machine can be read, and its periods follow each other without a gap")
    func everyZone() throws {
        for name in ["Pacific/Apia", "Africa/Casablanca", "America/Nuuk", "Europe/Dublin", "Asia/Gaza", "Etc/GMT+12"] {
            let zone = try ZoneRules(parsing: try #require(ZoneDirectory.read(name)))
            var period = zone.period(at: .min)
            var count = 0
            while period.end < utc(2100, 1, 1) {
                let next = zone.period(at: period.end)
                #expect(next.start == period.end)
                #expect(next.end > next.start)
                period = next
                count += 1
            }
            #expect(count < 1_000)
        }
    }

    @Test("A local time that is left out is the moment of the change; one that comes twice is its first time")
    func changes() {
        let berlin = ZoneFixture.zone("Europe/Berlin")
        #expect(berlin.moment(reaching: utc(2026, 3, 29, 1, 59)) == utc(2026, 3, 29, 0, 59))
        for minute in [0, 1, 30, 59] {
            #expect(berlin.moment(reaching: utc(2026, 3, 29, 2, minute)) == utc(2026, 3, 29, 1))
        }
        #expect(berlin.moment(reaching: utc(2026, 3, 29, 3)) == utc(2026, 3, 29, 1))
        #expect(berlin.moment(reaching: utc(2026, 10, 25, 2, 30)) == utc(2026, 10, 25, 0, 30))
        #expect(berlin.moment(reaching: utc(2026, 10, 25, 3)) == utc(2026, 10, 25, 2))
    }

    @Test("A day that a zone leaves out is the moment at which it jumps") func leftOutDay() throws {
        let apia = try ZoneRules(parsing: try #require(ZoneDirectory.read("Pacific/Apia")))
        #expect(apia.moment(reaching: utc(2011, 12, 30, 9)) == utc(2011, 12, 30, 10))
        #expect(apia.moment(reaching: utc(2011, 12, 31)) == utc(2011, 12, 30, 10))
        #expect(apia.moment(reaching: utc(2011, 12, 31, 0, 1)) == utc(2011, 12, 30, 10, 1))
    }

    @Test(
        "What is no rule is refused",
        arguments: [
            "", "C", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-25", "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J2", "CET-1CEST,366,1", "<+1>-1x",
            "CET-1CEST,M3.5.0/168,M10.5.0", "<ab-1", "CET-1CEST,M3.5.0,M10.5.0/3 ",
        ])
    func wrongRule(text: String) { #expect(PosixZone(text) == nil) }

    @Test("Summer time all year has no winter") func allYear() throws {
        let zone = try ZoneRules(parsing: ZoneFixture.file("YYY3EDT4,0/0,J365/23", version: 0x33))
        for day in 0..<800 {
            #expect(zone.period(at: utc(2026, 1, 1) + Int64(day) * 86_400).offset == -4 * 3_600)
        }
    }

    @Test("A file that is cut anywhere is refused, and flipped bytes never trap") func damaged() throws {
        let bytes = try #require(ZoneDirectory.read("Europe/Berlin"))
        for count in 0..<bytes.count {
            #expect(throws: ZoneRules.Malformed.self) { try ZoneRules(parsing: Array(bytes[..<count])) }
        }
        #expect(throws: ZoneRules.Malformed.self) {
            try ZoneRules(parsing: [UInt8](repeating: 0, count: ZoneRules.bytesMax + 1))
        }
        var random = SeededRandom(seed: 9)
        for _ in 0..<5_000 {
            var flipped = bytes
            for _ in 0..<3 { flipped[Int.random(in: bytes.indices, using: &random)] = UInt8(random.next() & 0xFF) }
            guard let zone = try? ZoneRules(parsing: flipped) else { continue }
            _ = zone.moment(reaching: utc(2026, 3, 29, 2, 30))
        }
    }

    @Test("A zone's name leads nowhere but into the database") func names() {
        for name in ["Europe/Berlin", "UTC", "Etc/GMT+12", "America/Argentina/Buenos_Aires"] {
            #expect(ZoneName.isPlausible(name))
        }
        for name in ["", "/etc/passwd", "../passwd", "Europe/../x", "Europe//Berlin", "a b", "a\0", "Zürich", "a/"] {
            #expect(!ZoneName.isPlausible(name))
        }
        #expect(ZoneDirectory.read("Nowhere/Land") == nil)
        #expect(ZoneDirectory.read("Europe") == nil)
    }
}
