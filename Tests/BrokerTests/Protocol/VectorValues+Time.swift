import BrokerProtocol

/// The vectors of cancel, reschedule, schedules and pauses.
extension VectorValues {
    private var first: MessageID { MessageID(rawValue: 1001) }

    private func schedule(_ name: String, _ topic: String, _ cron: String) -> Schedule? {
        guard let name = ScheduleName(name), let topic = TopicName(topic) else { return nil }
        return Schedule(name, topic: topic, cron: cron)
    }

    private var nightly: Schedule? {
        var schedule = schedule("nightly", "report.due", "30 2 * * mon-fri")
        schedule?.zone = "Europe/Berlin"
        schedule?.missed = .latest
        schedule?.orderingKey = "reports"
        schedule?.expiryMilliseconds = 3_600_000
        schedule?.headers = [Header("kind", "daily")]
        schedule?.body = Array("{}".utf8)
        return schedule
    }

    func timed(_ name: String) -> (UInt32, Request)? {
        guard let nightly, var every = schedule("tick", "tick", "@every 90s") else { return nil }
        every.isPaused = true
        every.priority = 9
        return switch name {
        case "cancel": (27, .cancel([first, MessageID(rawValue: 1002)]))
        case "reschedule": (28, .reschedule([first], newYear))
        case "schedule-set": (29, .scheduleSet(nightly))
        case "schedule-set-every": (30, .scheduleSet(every))
        case "schedule-delete": (31, .scheduleDelete(nightly.name))
        case "schedule-list": (32, .scheduleList)
        case "pause": (33, .pause(.topic(orders), .both, until: newYear))
        case "pause-a-subscription": (34, .pause(.subscription(email), .delivery, until: nil))
        case "resume": (35, .resume(.topic(orders), .intake))
        case "schedule-pause": (36, .schedulePause(nightly.name))
        case "schedule-resume": (37, .scheduleResume(nightly.name))
        default: nil
        }
    }

    func timedAnswer(_ name: String) -> (UInt32, Response)? {
        guard name == "schedules", let nightly else { return nil }
        var status = ScheduleStatus(nightly)
        status.next = newYear.adding(milliseconds: 5_400_000)
        status.refused = 1
        status.lastRefusal = "TOPIC_FULL (209): full"
        return (32, .schedules([status]))
    }
}
