/// Schedules as bytes: the same on the wire and in the log. docs/PROTOCOL.md draws them.
extension ByteWriter {
    package mutating func schedule(_ schedule: Schedule) {
        text(schedule.name.text)
        text(schedule.topic.text)
        text(schedule.cron)
        text(schedule.zone)
        u8(schedule.missed.rawValue)
        u8(schedule.isPaused ? 1 : 0)
        u8(schedule.priority)
        optionalText(schedule.orderingKey)
        i64(schedule.expiryMilliseconds ?? -1)
        headers(schedule.headers)
        blob(schedule.body)
    }

    mutating func schedules(_ schedules: [ScheduleStatus]) {
        u32(UInt32(schedules.count))
        for status in schedules {
            schedule(status.schedule)
            optionalTime(status.next)
            optionalTime(status.last)
            u64(status.fired)
            u64(status.refused)
            optionalText(status.lastRefusal)
        }
    }

    mutating func optionalTime(_ time: WallTime?) {
        u8(time == nil ? 0 : 1)
        if let time { i64(time.milliseconds) }
    }

    mutating func ids(_ ids: [MessageID]) {
        u32(UInt32(ids.count))
        for id in ids { u64(id.rawValue) }
    }
}

extension ByteReader {
    package mutating func scheduleName() throws(Malformed) -> ScheduleName {
        let at = offset
        guard let name = ScheduleName(try text("schedule")) else {
            throw Malformed(offset: at, what: "a schedule's name follows the rule of topic names")
        }
        return name
    }

    package mutating func schedule() throws(Malformed) -> Schedule {
        let name = try scheduleName()
        let topic = try topic()
        var schedule = Schedule(name, topic: topic, cron: try text("cron"))
        schedule.zone = try text("zone")
        let at = offset
        let number = try u8("missed")
        guard let missed = MissedTicks(rawValue: number) else {
            throw Malformed(offset: at, what: "missed is 0 to 2, not \(number)")
        }
        schedule.missed = missed
        schedule.isPaused = try flag("paused")
        schedule.priority = try u8("priority")
        schedule.orderingKey = try optionalText("ordering key")
        schedule.expiryMilliseconds = try expiry()
        schedule.headers = try headers()
        schedule.body = try blob("body")
        return schedule
    }

    private mutating func expiry() throws(Malformed) -> Int64? {
        let at = offset
        let span = try i64("expiry")
        guard span >= -1 else { throw Malformed(offset: at, what: "expiry is -1 or a number of milliseconds") }
        return span == -1 ? nil : span
    }

    mutating func schedules() throws(Malformed) -> [ScheduleStatus] {
        var schedules: [ScheduleStatus] = []
        for _ in 0..<(try count("schedules", itemBytes: 57)) {
            var status = ScheduleStatus(try schedule())
            status.next = try optionalTime("next")
            status.last = try optionalTime("last")
            status.fired = try u64("fired")
            status.refused = try u64("refused")
            status.lastRefusal = try optionalText("last refusal")
            schedules.append(status)
        }
        return schedules
    }

    mutating func optionalTime(_ what: String) throws(Malformed) -> WallTime? {
        try flag("has \(what)") ? WallTime(milliseconds: try i64(what)) : nil
    }

    mutating func pauseTarget() throws(Malformed) -> PauseTarget {
        let at = offset
        guard let target = PauseTarget(try text("target")) else {
            throw Malformed(offset: at, what: "a pause's target is a topic or topic@name")
        }
        return target
    }

    package mutating func pauseScope() throws(Malformed) -> PauseScope {
        let at = offset
        let number = try u8("what")
        guard let scope = PauseScope(rawValue: number) else {
            throw Malformed(offset: at, what: "what is 1 to 3, not \(number)")
        }
        return scope
    }
}

extension Request {
    /// Those of time: cancel, reschedule, schedules, pauses.
    func encodeTimed(into writer: inout ByteWriter) {
        switch self {
        case .cancel(let ids): writer.ids(ids)
        case .reschedule(let ids, let time):
            writer.ids(ids)
            writer.i64(time.milliseconds)
        case .scheduleSet(let schedule): writer.schedule(schedule)
        case .scheduleDelete(let name), .schedulePause(let name), .scheduleResume(let name): writer.text(name.text)
        case .pause(let target, let scope, let until):
            writer.text(target.description)
            writer.u8(scope.rawValue)
            writer.optionalTime(until)
        case .resume(let target, let scope):
            writer.text(target.description)
            writer.u8(scope.rawValue)
        default: break
        }
    }

    static func timed(_ kind: UInt8, _ reader: inout ByteReader) throws(ByteReader.Malformed) -> Request {
        switch kind {
        case 0x40: return .cancel(try reader.messageIDs())
        case 0x41: return .reschedule(try reader.messageIDs(), WallTime(milliseconds: try reader.i64("deliver-at")))
        case 0x42: return .scheduleSet(try reader.schedule())
        case 0x43: return .scheduleDelete(try reader.scheduleName())
        case 0x44: return .scheduleList
        case 0x45:
            let target = try reader.pauseTarget()
            let scope = try reader.pauseScope()
            return .pause(target, scope, until: try reader.optionalTime("until"))
        case 0x46: return .resume(try reader.pauseTarget(), try reader.pauseScope())
        case 0x50: return .schedulePause(try reader.scheduleName())
        case 0x51: return .scheduleResume(try reader.scheduleName())
        default: throw ByteReader.Malformed(offset: Frame.kindOffset, what: "there is no such request")
        }
    }
}
