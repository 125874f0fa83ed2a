import BrokerProtocol

/// Messages that are published by the clock. A tick is one record: the publish, and that the tick is over.
extension BrokerState {
    static let scheduleBodyBytesMax = 64 << 10
    /// A tick that comes later than this was missed: the clock jumped, or the process stood still.
    private static let lateMilliseconds: Int64 = 60_000
    /// Ticks that one turn fires; the others follow in the next.
    private static let ticksPerTurn = 1_000
    /// `all` fires so many missed ticks, the last ones.
    private static let missedMax = 1_000
    private static let refusalBytesMax = 300

    // MARK: Requests

    func setSchedule(_ schedule: Schedule, now: Now) throws(BrokerError) {
        let progress = ScheduleProgress(since: now.wall)
        let plan = try check(schedule, progress)
        if plan.next(after: now.wall) == nil {
            throw BrokerError(.settingInvalid, "cron: `\(schedule.cron)` has no tick in the years to come")
        }
        let old = schedules.states[schedule.name]
        if old == nil && schedules.count >= limits.schedulesMax {
            throw BrokerError(
                .topicLimit,
                "there are \(limits.schedulesMax) schedules, the limit schedules_max; \(schedule.name) was not made")
        }
        let bytes = Self.bytes(of: schedule)
        try demandDefinitions(bytes: max(bytes - (old.map { Self.bytes(of: $0.schedule) } ?? 0), 0))
        try demandSpace(bytes: bytes)
        try record([.scheduleDefined(schedule, progress)])
        begin(schedules.states[schedule.name])
    }

    private func check(_ schedule: Schedule, _ progress: ScheduleProgress) throws(BrokerError) -> TickPlan {
        if schedule.cron.utf8.count > 255 { throw BrokerError(.settingInvalid, "a cron line has at most 255 bytes") }
        if schedule.body.count > Self.scheduleBodyBytesMax {
            throw BrokerError(
                .bodyTooLarge,
                "the body has \(schedule.body.count) bytes, that of a schedule at most \(Self.scheduleBodyBytesMax)")
        }
        if let span = schedule.expiryMilliseconds, span < 1 {
            throw BrokerError(.settingInvalid, "the expiry of a schedule is 1ms or more, not \(span)ms")
        }
        try check(message(of: schedule, now: Now(monotonic: 0, wall: progress.anchor)))
        return try plan(schedule, progress)
    }

    private func plan(_ schedule: Schedule, _ progress: ScheduleProgress) throws(BrokerError) -> TickPlan {
        TickPlan(cron: try Cron(parsing: schedule.cron), zone: try zone(schedule.zone), anchor: progress.anchor)
    }

    /// The rules of a zone, read once.
    private func zone(_ name: String) throws(BrokerError) -> ZoneRules {
        if name == "UTC" { return .utc }
        if let zone = zones[name] { return zone }
        guard ZoneName.isPlausible(name), let bytes = readZone(name) else {
            let clipped = name.clipped(toBytes: 100)
            throw BrokerError(
                .settingInvalid,
                "zone: there is no time zone `\(clipped)` on this machine; expected a name such as Europe/Berlin")
        }
        do throws(ZoneRules.Malformed) {
            let zone = try ZoneRules(parsing: bytes)
            zones[name] = zone
            return zone
        } catch {
            throw BrokerError(
                .settingInvalid, "zone: the file of `\(name)` cannot be read, byte \(error.offset): \(error.what)")
        }
    }

    private func message(of schedule: Schedule, now: Now) -> OutgoingMessage {
        OutgoingMessage(
            topic: schedule.topic, body: schedule.body, headers: schedule.headers, priority: schedule.priority,
            orderingKey: schedule.orderingKey,
            expiresAt: schedule.expiryMilliseconds.map { now.wall.adding(milliseconds: $0) })
    }

    /// Log bytes that a schedule's definition takes at most.
    private static func bytes(of schedule: Schedule) -> Int {
        let headers = schedule.headers.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 }
        return 256 + refusalBytesMax + schedule.name.text.utf8.count + schedule.topic.text.utf8.count
            + schedule.cron.utf8.count + schedule.zone.utf8.count + (schedule.orderingKey?.utf8.count ?? 0) + headers
            + schedule.body.count
    }

    private func existing(_ name: ScheduleName) throws(BrokerError) -> ScheduleState {
        guard let state = schedules.states[name] else {
            throw BrokerError(.topicUnknown, "there is no schedule \(name)")
        }
        return state
    }

    func deleteSchedule(_ name: ScheduleName) throws(BrokerError) {
        _ = try existing(name)
        try record([.scheduleDeleted(name)])
    }

    /// Ticks that pass while a schedule is paused are left out.
    func setSchedulePaused(_ name: ScheduleName, _ isPaused: Bool, now: Now) throws(BrokerError) {
        let state = try existing(name)
        if state.schedule.isPaused == isPaused { return }
        var schedule = state.schedule
        schedule.isPaused = isPaused
        var progress = state.progress
        progress.handledUntil = max(progress.handledUntil, now.wall)
        try demandSpace(bytes: Self.bytes(of: schedule))
        try record([.scheduleDefined(schedule, progress)])
        begin(schedules.states[name])
    }

    // MARK: Facts

    func defineSchedule(_ schedule: Schedule, _ progress: ScheduleProgress) {
        if let old = schedules.states[schedule.name] { definitionBytes -= Self.bytes(of: old.schedule) }
        definitionBytes += Self.bytes(of: schedule)
        schedules.set(ScheduleState(schedule, progress))
    }

    func removeSchedule(_ name: ScheduleName) {
        if let old = schedules.remove(name) { definitionBytes -= Self.bytes(of: old.schedule) }
    }

    /// The schedules, for the definitions.
    func scheduleFacts() -> [Fact] { schedules.inOrder.map { .scheduleDefined($0.schedule, $0.progress) } }

    // MARK: Time

    private func begin(_ state: ScheduleState?) {
        guard let state, !state.schedule.isPaused else { return }
        do throws(BrokerError) {
            state.plan = try plan(state.schedule, state.progress)
        } catch {
            state.problem = error.message
        }
        state.advance()
        schedules.plan(state)
    }

    /// Publishes what is due. The first call after a start sorts out what was missed.
    func fireSchedules(now: Now) {
        if !schedules.hasBegun {
            schedules.hasBegun = true
            for state in schedules.inOrder {
                begin(state)
                catchUp(state, before: now.wall)
            }
        }
        if isDraining { return }
        var fired = 0
        while fired < Self.ticksPerTurn, let state = schedules.takeDue(now: now.wall), let tick = state.next {
            if !state.hasCaughtUp && tick < now.wall.adding(milliseconds: -Self.lateMilliseconds) {
                catchUp(state, before: now.wall.adding(milliseconds: -Self.lateMilliseconds))
                continue
            }
            fire(state, tick, now: now)
            state.advance()
            if let next = state.next, next > now.wall { state.hasCaughtUp = false }
            schedules.plan(state)
            fired += 1
        }
    }

    /// Leaves out the missed ticks that are not to fire.
    private func catchUp(_ state: ScheduleState, before time: WallTime) {
        state.hasCaughtUp = true
        let end = time.adding(milliseconds: -1)
        if let plan = state.plan, let next = state.next, next <= end {
            state.progress.handledUntil = Self.start(of: state.schedule.missed, plan, state.progress.handledUntil, end)
            state.advance()
        }
        schedules.plan(state)
    }

    /// The time behind which the missed ticks that fire begin.
    private static func start(
        of missed: MissedTicks, _ plan: TickPlan, _ handledUntil: WallTime, _ end: WallTime
    ) -> WallTime {
        let count =
            switch missed {
            case .skip: 0
            case .latest: 1
            case .all: missedMax
            }
        var start = end
        for _ in 0..<count {
            guard let tick = plan.last(after: handledUntil, through: start) else { return handledUntil }
            start = tick.adding(milliseconds: -1)
        }
        return max(start, handledUntil)
    }

    private func fire(_ state: ScheduleState, _ tick: WallTime, now: Now) {
        let name = state.schedule.name
        do throws(BrokerError) {
            var plan = PublishPlan()
            _ = try decidePublish(message(of: state.schedule, now: now), &plan, now: now)
            try record(plan.facts + [.scheduleFired(name, tick, refusal: nil)])
        } catch {
            let refusal = error.description.clipped(toBytes: Self.refusalBytesMax)
            let fact = Fact.scheduleFired(name, tick, refusal: refusal)
            let hasRoom = leavesRoomForAcks(Self.settleBytes + Self.refusalBytesMax)
            if !hasRoom || !recordReserved([fact], isAwaited: false) {
                apply(fact, at: RecordAddress(position: journal.end, offset: 0))
            }
        }
    }
}

/// Names of time zones, which are paths in the zone database.
enum ZoneName {
    /// Whether it can be one: no way out of the database.
    static func isPlausible(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return (1...64).contains(name.utf8.count)
            && parts.allSatisfy { part in
                !part.isEmpty
                    && part.utf8.allSatisfy { byte in
                        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                            || [UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "+")].contains(byte)
                    }
            }
    }
}
