import BrokerProtocol
import Testing

enum TimeScenarios {
    static let all = [
        Scenario("T1", "Nothing is delivered before its time, and the later of two times counts", delay),
        Scenario("T2", "Cancel and reschedule, of what nobody holds", cancel),
        Scenario("T3", "What is not delivered in time is over, whether somebody reads or not", expiry),
        Scenario("T4", "A jump of the wall clock moves deliver-at, and neither leases nor backoffs", clocks),
        Scenario("T5", "A schedule fires once for each tick, over restarts and pauses", schedules),
    ]

    static func delay(_ stage: Stage) async throws {
        let soon = stage.later(seconds: 5)
        try await stage.publish("late") { message in
            message.deliverAt = soon
            message.delayMilliseconds = 10_000
        }
        try await stage.publish("early") { $0.deliverAt = soon }
        try await stage.publish("past") { $0.deliverAt = WallTime(milliseconds: 0) }
        let century = stage.later(seconds: 100 * 366 * 86_400)
        try await stage.publish("far") { $0.deliverAt = century }
        #expect(try await stage.rest() == ["past"])
        try await stage.middle()
        try await stage.pass(milliseconds: 4_999)
        #expect(try await stage.take() == nil)
        try await stage.pass(milliseconds: 1)
        #expect(try await stage.rest() == ["early"])
        try await stage.pass(milliseconds: 5_000)
        #expect(try await stage.rest() == ["late"])
        #expect(try await stage.numbers().delayed == 1)
    }

    static func cancel(_ stage: Stage) async throws {
        let ids = try await stage.publish("a", "b", "c", "d", "e")
        let leased = try await stage.taken()
        let unknown = MessageID(rawValue: 1 << 40)
        let cancelled = try await stage.broker.cancel([ids[0], ids[1], unknown, ids[1]])
        #expect(cancelled.map { $0?.code } == [.messageLeased, nil, .messageUnknown, .messageUnknown])
        let later = stage.later(seconds: 10)
        let moved = try await stage.broker.reschedule([ids[0], ids[2], ids[1]], deliverAt: later)
        #expect(moved.map { $0?.code } == [.messageLeased, nil, .messageUnknown])
        try await stage.settle(leased, .ack)
        try await stage.settle(try await stage.taken(), .reject(reason: "no"))
        try await stage.middle()
        #expect(try await stage.broker.cancel([ids[3]]).map { $0?.code } == [.messageUnknown], "it is dead")
        #expect(try await stage.dead().map(\.text) == ["d"])
        try await stage.settle(try await stage.taken(), .fail(error: "e", afterMilliseconds: 3_600_000))
        #expect(try await stage.take() == nil)
        try await stage.broker.reschedule(ids[4], deliverAt: WallTime(milliseconds: 0))
        #expect(try await stage.taken().attempt == 2, "at once, with its attempts")
        try await stage.pass(seconds: 10)
        let third = try await stage.taken()
        #expect(third.id == ids[2] && third.attempt == 1)
        try await stage.settle(third, .ack)
        await #expect(throws: BrokerError.self) { try await stage.broker.cancel(ids[2]) }
    }

    static func expiry(_ stage: Stage) async throws {
        func publish(_ body: String) async throws {
            let expiry = stage.later(seconds: 10)
            try await stage.publish(body) { $0.expiresAt = expiry }
        }
        try await publish("x")
        try await stage.publish("y")
        try await stage.middle()
        try await stage.pass(milliseconds: 9_999)
        #expect(try await stage.numbers().ready == 2)
        try await stage.pass(milliseconds: 1_001)
        #expect(try await stage.numbers().dead == 1)
        #expect(try await stage.numbers().figures["expired"] == 1)
        #expect(try await stage.dead().map(\.reason) == ["expired"])
        #expect(try await stage.rest() == ["y"])
        #expect(try await stage.broker.count(.deadRedrive(stage.name("t"), [])) == 1)
        #expect(try await stage.rest() == ["x"], "one that was redriven does not expire again")
        try await publish("held")
        try await publish("back")
        let (held, back) = (try await stage.taken(), try await stage.taken())
        try await stage.pass(seconds: 15)
        try await stage.settle(held, .ack)
        try await stage.settle(back, .release())
        #expect(try await stage.dead().map(\.text) == ["back"])
    }

    static func clocks(_ stage: Stage) async throws {
        let hour = stage.later(seconds: 3_600)
        try await stage.publish("a")
        try await stage.publish("timed") { $0.deliverAt = hour }
        try await stage.middle()
        var first = try await stage.taken()
        try await stage.move(monotonic: 0, wall: -7_200_000)
        try await stage.move(monotonic: 0, wall: 7_200_000 + 3_599_999)
        #expect(try await stage.take() == nil)
        try await stage.move(monotonic: 0, wall: 1)
        #expect(try await stage.rest() == ["timed"])
        try await stage.settle(first, .fail(error: "e", afterMilliseconds: 10_000))
        try await stage.move(monotonic: 9_999, wall: 86_400_000)
        #expect(try await stage.take() == nil, "a backoff does not jump")
        try await stage.move(monotonic: 1, wall: -86_400_000)
        first = try await stage.taken()
        try await stage.move(monotonic: 30_000, wall: 0)
        #expect(try await stage.refusal { try await stage.settle(first, .ack) }.code == .leaseLost)
        #expect(try await stage.broker.status().messages == 1)
    }

    static func schedules(_ stage: Stage) async throws {
        let name = ScheduleName("tick")!
        var schedule = Schedule(name, topic: TopicName("t")!, cron: "*/5 * * * *", body: Array("tick".utf8))
        try await stage.broker.setSchedule(schedule)
        try await stage.pass(seconds: 299)
        #expect(try await stage.take() == nil)
        try await stage.pass(seconds: 1)
        try await stage.middle()
        #expect(try await stage.rest() == ["tick"])
        #expect(try await stage.broker.schedules().map(\.next) == [stage.later(seconds: 300)])
        try await stage.pass(seconds: 300)
        #expect(try await stage.rest() == ["tick"])
        if stage.restarts {
            try await stage.restart(monotonic: 1_000, wall: 1_830_000)
            #expect(try await stage.rest() == [], "missed ticks are left out, as the schedule says")
            schedule.missed = .all
            try await stage.broker.setSchedule(schedule)
            try await stage.restart(monotonic: 1_000, wall: 900_000)
            #expect(try await stage.rest() == ["tick", "tick", "tick"])
        }
        try await stage.broker.pauseSchedule(name)
        try await stage.pass(seconds: 900)
        try await stage.broker.resumeSchedule(name)
        #expect(try await stage.rest() == [])
        try await stage.pass(seconds: 300)
        #expect(try await stage.rest() == ["tick"])
        schedule.cron = "61 * * * *"
        #expect(try await stage.refusal { try await stage.broker.setSchedule(schedule) }.code == .settingInvalid)
        try await stage.broker.deleteSchedule(name)
        try await stage.pass(seconds: 900)
        #expect(try await stage.rest() == [])
        #expect(try await stage.broker.schedules() == [])
    }
}
