import BrokerProtocol
import Testing

@testable import Broker

@Suite("Schedules") struct ScheduleTests {
    private let minute: Int64 = 60_000

    /// At 2026-03-28T12:00:00Z, the day before summer begins in Berlin.
    private func begin(_ journal: MemoryJournal = MemoryJournal(), limits: StateLimits = StateLimits()) -> StateHarness
    {
        let broker = StateHarness(limits: limits, journal: journal)
        let noon = CivilTime(year: 2026, month: 3, day: 28, hour: 12).seconds * 1_000
        broker.move(monotonic: 0, wall: noon - broker.now.wall.milliseconds)
        return broker
    }

    private func schedule(
        _ cron: String, zone: String = "UTC", missed: MissedTicks = .skip, name: String = "s"
    ) -> Schedule {
        var schedule = Schedule(ScheduleName(name)!, topic: TopicName("t")!, cron: cron, body: [7])
        schedule.zone = zone
        schedule.missed = missed
        return schedule
    }

    private func statuses(_ broker: StateHarness) -> [ScheduleStatus] {
        guard case .schedules(let statuses)? = broker.send(.scheduleList) else { return [] }
        return statuses
    }

    /// Starts again at another time.
    private func restart(_ broker: StateHarness, after milliseconds: Int64 = 0) throws {
        broker.now.wall = broker.later(milliseconds)
        try broker.restart()
    }

    private func published(_ broker: StateHarness) -> UInt64 { broker.status("t").ready }

    @Test("Each tick publishes the message in one record, with what the schedule says of it")
    func fires() throws {
        let broker = begin()
        var wanted = schedule("*/5 * * * *")
        wanted.headers = [Header("k", "v")]
        wanted.priority = 7
        wanted.orderingKey = "key"
        wanted.expiryMilliseconds = 90_000
        #expect(broker.send(.scheduleSet(wanted)) == .done)
        #expect(statuses(broker).map(\.next) == [broker.later(5 * minute)])
        broker.pass(milliseconds: 5 * minute - 1)
        #expect(published(broker) == 0)
        let records = broker.journal.records.count
        broker.pass(milliseconds: 1)
        #expect(published(broker) == 1)
        let last = try FactCodec.decode(try #require(broker.journal.records.last).payload).map(\.fact)
        guard case .published(let message) = last[0], case .scheduleFired(let name, let tick, nil) = last[1] else {
            Issue.record("\(last)")
            return
        }
        #expect(broker.journal.records.count == records + 2, "the topic, then the tick")
        #expect(name == wanted.name)
        #expect(tick == broker.now.wall)
        #expect(message.body == [7])
        #expect(message.headers == wanted.headers)
        #expect(message.priority == 7)
        #expect(message.orderingKey == "key")
        #expect(message.expiresAt == broker.later(90_000))
        let status = try #require(statuses(broker).first)
        #expect(status.fired == 1)
        #expect(status.last == broker.now.wall)
        #expect(status.next == broker.later(5 * minute))
    }

    @Test("A tick is durable before its message is delivered")
    func durable() {
        let broker = begin()
        broker.subscribe("t")
        broker.send(.scheduleSet(schedule("@every 1s")))
        broker.pass(milliseconds: 1_000)
        let delivery = broker.effects.last { if case .deliver = $0.effect { true } else { false } }
        #expect((delivery?.requires ?? 0) > (broker.journal.records.dropLast().last?.position ?? 0))
    }

    @Test("A tick fires once, whenever the broker starts again")
    func once() throws {
        let broker = begin()
        broker.send(.scheduleSet(schedule("* * * * *", missed: .all)))
        for _ in 0..<10 {
            broker.pass(milliseconds: minute)
            try restart(broker)
            try restart(broker)
        }
        #expect(published(broker) == 10)
        #expect(statuses(broker).map(\.fired) == [10])
    }

    @Test(
        "Missed ticks: none, the last one, or each, at most a thousand",
        arguments: [(.skip, 10, 0), (.latest, 10, 1), (.all, 10, 10), (.all, 5_000, 1_000)]
            as [(MissedTicks, Int64, UInt64)])
    func missed(rule: MissedTicks, minutes: Int64, fired: UInt64) throws {
        let broker = begin()
        broker.send(.scheduleSet(schedule("* * * * *", missed: rule)))
        let start = broker.now.wall
        try restart(broker, after: minutes * minute + 30_000)
        #expect(published(broker) == fired)
        let status = try #require(statuses(broker).first)
        #expect(status.next == start.adding(milliseconds: (minutes + 1) * minute))
        #expect(status.last == (fired == 0 ? nil : start.adding(milliseconds: minutes * minute)))
        broker.pass(milliseconds: 30_000)
        #expect(published(broker) == fired + 1)
        try restart(broker)
        #expect(published(broker) == fired + 1)
    }

    @Test("Years of missed ticks take no time to sort out", arguments: MissedTicks.allCases)
    func years(rule: MissedTicks) throws {
        let broker = begin()
        broker.send(.scheduleSet(schedule("* * * * *", zone: "Europe/Berlin", missed: rule)))
        broker.send(.scheduleSet(schedule("@every 1s", missed: rule, name: "every")))
        try restart(broker, after: 10 * 365 * 86_400_000)
        for _ in 0..<3 { broker.pass(milliseconds: 0) }
        // A thousand of each at most, and the tick of this moment.
        #expect(published(broker) <= 2_002)
    }

    @Test("A clock that jumps forward misses ticks like a broker that is down; back, it fires none twice")
    func jumps() throws {
        let broker = begin()
        broker.send(.scheduleSet(schedule("* * * * *", missed: .latest)))
        broker.move(monotonic: 1, wall: 10 * minute + 30_000)
        // The last one that was missed, and the one that is late by half a minute.
        #expect(published(broker) == 2)
        broker.move(monotonic: 1, wall: 30_000)
        #expect(published(broker) == 3)
        broker.move(monotonic: 1, wall: -5 * minute)
        for _ in 0..<5 { broker.pass(milliseconds: minute) }
        #expect(published(broker) == 3)
        broker.pass(milliseconds: minute)
        #expect(published(broker) == 4)
        #expect((broker.state.nextDeadline(now: broker.now) ?? 0) <= 1_000)
    }

    @Test("A local time that a clock change leaves out fires when the clock has jumped; one that comes twice, once")
    func summer() throws {
        let broker = begin()
        broker.send(.scheduleSet(schedule("30 2 * * *", zone: "Europe/Berlin")))
        let start = CivilTime(year: 2026, month: 3, day: 29, hour: 1).seconds * 1_000
        #expect(statuses(broker).map(\.next) == [WallTime(milliseconds: start)])
        broker.move(monotonic: 0, wall: start - broker.now.wall.milliseconds)
        #expect(published(broker) == 1)
        let autumn = CivilTime(year: 2026, month: 10, day: 25).seconds * 1_000
        try restart(broker, after: autumn - broker.now.wall.milliseconds)
        let before = published(broker)
        for _ in 0..<8 { broker.pass(milliseconds: 15 * minute) }
        #expect(published(broker) == before + 1)
        #expect(statuses(broker).map(\.last) == [WallTime(milliseconds: autumn + 30 * minute)])
    }

    @Test("A refused tick is counted and told, and not repeated", arguments: [false, true])
    func refused(restarts: Bool) throws {
        let broker = begin()
        broker.send(.topicCreate(broker.topic("t"), TopicSettings()))
        broker.send(.pause(.topic(broker.topic("t")), .intake, until: nil))
        broker.send(.scheduleSet(schedule("* * * * *", missed: .all)))
        broker.pass(milliseconds: 2 * minute)
        broker.send(.resume(.topic(broker.topic("t")), .intake))
        if restarts { try restart(broker) }
        let status = try #require(statuses(broker).first)
        #expect(status.refused == 2)
        #expect(status.fired == 0)
        #expect(status.lastRefusal == "TOPIC_PAUSED (212): the intake of t is paused until it is resumed")
        #expect(published(broker) == 0)
        broker.pass(milliseconds: minute)
        #expect(published(broker) == 1)
    }

    @Test("A tick that a full log refuses is over, and nothing stands still")
    func fullLog() {
        let broker = begin()
        broker.send(.scheduleSet(schedule("* * * * *")))
        broker.journal.publishBytesFree = 0
        broker.journal.bytesFree = 0
        broker.pass(milliseconds: minute)
        #expect(statuses(broker).map(\.refused) == [1])
        broker.journal.publishBytesFree = 1 << 20
        broker.journal.bytesFree = 1 << 20
        broker.pass(milliseconds: minute)
        #expect(published(broker) == 1)
    }

    @Test("A schedule is paused, resumed, replaced and deleted")
    func life() throws {
        let broker = begin()
        let name = ScheduleName("s")!
        broker.send(.scheduleSet(schedule("* * * * *", missed: .all)))
        broker.pass(milliseconds: minute)
        #expect(broker.send(.schedulePause(name)) == .done)
        try restart(broker, after: 5 * minute)
        #expect(statuses(broker).map(\.schedule.isPaused) == [true])
        #expect(statuses(broker).map(\.next) == [nil])
        broker.pass(milliseconds: 5 * minute)
        #expect(broker.send(.scheduleResume(name)) == .done)
        #expect(published(broker) == 1)
        broker.pass(milliseconds: minute)
        #expect(published(broker) == 2)
        #expect(statuses(broker).map(\.fired) == [2])
        broker.send(.scheduleSet(schedule("@every 10m")))
        #expect(statuses(broker).map(\.next) == [broker.later(10 * minute)])
        #expect(statuses(broker).map(\.fired) == [0])
        try restart(broker)
        broker.pass(milliseconds: 10 * minute)
        #expect(published(broker) == 3)
        #expect(broker.send(.scheduleDelete(name)) == .done)
        try restart(broker)
        broker.pass(milliseconds: 60 * minute)
        #expect(statuses(broker) == [])
        #expect(published(broker) == 3)
        #expect(code(broker.send(.scheduleDelete(name))) == .topicUnknown)
        #expect(code(broker.send(.schedulePause(name))) == .topicUnknown)
        #expect(broker.state.definitionBytes < 1_000)
    }

    @Test("Schedules and their progress stand in the definitions", arguments: MissedTicks.allCases)
    func definitions(rule: MissedTicks) throws {
        let broker = begin(MemoryJournal(segmentBytes: 16 << 10))
        broker.send(.scheduleSet(schedule("* * * * *", missed: rule)))
        broker.pass(milliseconds: minute)
        for _ in 0..<200 {
            broker.publish(broker.message("fill", body: [UInt8](repeating: 7, count: 1_000)))
            _ = broker.pop("fill", acknowledges: true)
        }
        try broker.shortenLog()
        #expect(broker.journal.firstSegment > 0)
        try restart(broker)
        #expect(statuses(broker).map(\.fired) == [1])
        #expect(statuses(broker).map(\.next) == [broker.later(minute)])
        broker.pass(milliseconds: minute)
        #expect(published(broker) == 2)
    }

    @Test("What cannot be a schedule is refused with the field, and changes nothing")
    func refusals() {
        var limits = StateLimits()
        limits.schedulesMax = 1
        let broker = begin(limits: limits)
        func refuse(_ change: (inout Schedule) -> Void) -> BrokerError? {
            var wanted = schedule("* * * * *")
            change(&wanted)
            guard case .refused(let error)? = broker.send(.scheduleSet(wanted)) else { return nil }
            return error
        }
        #expect(refuse { $0.cron = "60 * * * *" }?.message == "cron: minute `60`: 60 is not 0 to 59")
        #expect(refuse { $0.cron = "0 0 30 2 *" }?.code == .settingInvalid)
        #expect(refuse { $0.zone = "Europe/Nowhere" }?.message.hasPrefix("zone: there is no time zone") == true)
        #expect(refuse { $0.zone = "../../etc/passwd" }?.code == .settingInvalid)
        #expect(refuse { $0.body = [UInt8](repeating: 0, count: 65_537) }?.code == .bodyTooLarge)
        #expect(refuse { $0.priority = 10 }?.code == .settingInvalid)
        #expect(refuse { $0.expiryMilliseconds = 0 }?.code == .settingInvalid)
        #expect(refuse { $0.cron = String(repeating: "1,", count: 200) + "1 * * * *" }?.code == .settingInvalid)
        #expect(statuses(broker) == [])
        #expect(refuse { _ in } == nil)
        #expect(refuse { $0.name = ScheduleName("other")! }?.code == .topicLimit)
        #expect(refuse { $0.cron = "@daily" } == nil)
        #expect(statuses(broker).map(\.schedule.cron) == ["@daily"])
    }

    @Test("Definitions that would not fit into a record are refused")
    func tooMany() {
        let broker = begin(MemoryJournal(segmentBytes: 1 << 20))
        var made = 0
        for number in 0..<10 {
            var wanted = schedule("@daily", name: "s\(number)")
            wanted.body = [UInt8](repeating: 0, count: 64 << 10)
            if broker.send(.scheduleSet(wanted)) == .done { made += 1 }
        }
        #expect(made == 3)
    }

    @Test("A zone that is gone stops its schedule and says so, and not the broker")
    func zoneGone() throws {
        let broker = begin()
        broker.send(.scheduleSet(schedule("* * * * *", zone: "Europe/Berlin")))
        broker.send(.scheduleSet(schedule("* * * * *", name: "u")))
        broker.readZone = { _ in nil }
        try broker.restart()
        broker.pass(milliseconds: minute)
        #expect(published(broker) == 1)
        #expect(statuses(broker)[0].next == nil)
        #expect(statuses(broker)[0].lastRefusal?.contains("Europe/Berlin") == true)
    }

    @Test("A broker that drains fires nothing; the tick is missed")
    func drains() throws {
        let broker = begin()
        broker.send(.scheduleSet(schedule("* * * * *", missed: .latest)))
        broker.drain()
        broker.pass(milliseconds: minute + 1)
        #expect(published(broker) == 0)
        try restart(broker)
        #expect(published(broker) == 1)
    }
}
