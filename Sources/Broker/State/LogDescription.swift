import BrokerProtocol

/// What a log record means, in words; for `brokerctl log dump`. Bodies are not shown.
package enum LogDescription {
    /// One line for each fact; the last one says what is wrong when this version cannot read the record.
    package static func describe(payload: [UInt8]) -> [String] {
        do throws(FactCodec.Malformed) {
            return try FactCodec.decode(payload).map { line($0.fact) }
        } catch {
            return ["unreadable by this version, byte \(error.offset): \(error.what)"]
        }
    }

    private static func line(_ fact: Fact) -> String {
        switch fact {
        case .topicDefined(let id, let name, let settings):
            "topic \(id.rawValue) is \(name): \(list(settings.entries))"
        case .topicDeleted(let id): "topic \(id.rawValue) deleted"
        case .subscriptionDefined(let id, let topic, let name, let start, let origin):
            "subscription \(id.rawValue) is \(name) of topic \(topic.rawValue), from \(start), \(origin)"
        case .subscriptionSet(let id, let settings):
            "subscription \(id.rawValue) has \(settings.map { list($0.entries) } ?? "the settings of its topic")"
        case .subscriptionDeleted(let id): "subscription \(id.rawValue) deleted"
        case .published(let message): "published \(describe(message))"
        case .acknowledged(let id, let messages): "subscription \(id.rawValue) acknowledged \(ranges(messages))"
        case .attempted(let id, let messages): "subscription \(id.rawValue) delivered \(ranges(messages))"
        case .returned(let id, let message, let back):
            "subscription \(id.rawValue): \(message) \(back.countsAttempt ? "failed" : "released")"
                + (back.isDeath ? " without a verdict" : "") + by(back.consumer)
                + " at \(back.at.milliseconds), ready at \(back.readyAt.milliseconds)"
                + (back.error.map { ": \($0)" } ?? "")
        case .died(let id, let message, let death):
            "subscription \(id.rawValue) gave up on \(message)\(by(death.consumer)) at \(death.at.milliseconds): "
                + death.reason.text(death.words) + (death.error.map { ": \($0)" } ?? "")
        case .handed(let id, let messages, let consumer):
            "subscription \(id.rawValue) delivered \(ranges(messages)) to \(consumer)"
        case .clocked(let time): "at \(time.milliseconds)"
        case .redriven(let id, let messages): "subscription \(id.rawValue): redriven \(ranges(messages))"
        case .purged(let id, let messages): "subscription \(id.rawValue): purged \(ranges(messages))"
        case .restated(let message, let slots):
            "moved \(describe(message)), owed to \(slots.map { "\($0.subscription.rawValue)" }.joined(separator: ", "))"
        case .keyParked(let id, let key, let message): "subscription \(id.rawValue): \(message) parks the key \(key)"
        case .keyReleased(let id, let keys): "subscription \(id.rawValue): \(keys.count) keys released"
        case .deduplicated(let topic, let entries): "topic \(topic.rawValue) remembers \(entries.count) dedup ids"
        case .forgotten(let id, let last): "topic \(id.rawValue) keeps nothing acknowledged up to \(last)"
        case .patternDefined(let id, let name):
            "subscription \(id.rawValue) is the pattern \(name.topic)@\(name.name)"
        case .memberDefined(let id, let topic, let pattern, let start):
            "subscription \(id.rawValue) is the member of \(pattern.rawValue) in topic \(topic.rawValue), from \(start)"
        case .subscriptionFiltered(let id, let filter):
            "subscription \(id.rawValue) gets what has "
                + filter.pairs.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        case .assigned(let id, let messages, let rest):
            "subscription \(id.rawValue) gets older messages: \(ranges(messages))"
                + (rest.map { ", looks at \($0.next) to \($0.through) next" } ?? "")
        case .jobStarted(let job):
            "redrive \(job.id) of subscription \(job.subscription.rawValue), \(job.rate) in a second, has moved "
                + "\(job.moved), goes on at \(job.next)"
        case .jobMoved(let id, let next, let moved): "redrive \(id) has moved \(moved), goes on at \(next)"
        case .jobEnded(let id): "redrive \(id) ended"
        case .counted(let message, let topic, let subscription):
            "ids go on at message \(message), topic \(topic.rawValue), subscription \(subscription.rawValue)"
        case .cancelled(let messages): "cancelled \(ranges(messages))"
        case .rescheduled(let message, let deliverAt): "\(message) rescheduled to \(deliverAt.milliseconds)"
        case .scheduleDefined(let schedule, let progress): describe(schedule, progress)
        case .scheduleDeleted(let name): "schedule \(name) deleted"
        case .scheduleFired(let name, let tick, let refusal):
            "schedule \(name): tick \(tick.milliseconds) " + (refusal.map { "refused: \($0)" } ?? "fired")
        case .paused(let place, let scope, let pause): describe(place, scope, pause)
        }
    }

    private static func by(_ consumer: String?) -> String { consumer.map { " by \($0)" } ?? "" }
    private static func describe(_ schedule: Schedule, _ progress: ScheduleProgress) -> String {
        "schedule \(schedule.name) to \(schedule.topic) at `\(schedule.cron)` in \(schedule.zone), "
            + "\(schedule.missed) of missed ticks\(schedule.isPaused ? ", paused" : ""), "
            + "ticks up to \(progress.handledUntil.milliseconds) are over"
    }

    private static func describe(_ place: PausePlace, _ scope: PauseScope, _ pause: Pause?) -> String {
        let name =
            switch place {
            case .topic(let id): "topic \(id.rawValue)"
            case .subscription(let id): "subscription \(id.rawValue)"
            }
        guard let pause else { return "\(name): \(scope) resumed" }
        return "\(name): \(scope) paused" + (pause.until.map { " until \($0.milliseconds)" } ?? "")
    }

    private static func list(_ entries: [(key: String, value: String)]) -> String {
        entries.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }

    private static func describe(_ message: PublishedMessage) -> String {
        var words = ["\(message.id) to topic \(message.topic.rawValue)", "\(message.body.count) bytes"]
        if message.priority != 4 { words.append("priority \(message.priority)") }
        if let key = message.orderingKey { words.append("key \(key)") }
        if let time = message.deliverAt { words.append("deliver at \(time.milliseconds)") }
        if let time = message.expiresAt { words.append("expires at \(time.milliseconds)") }
        if let id = message.dedupID { words.append("dedup id \(id)") }
        return words.joined(separator: ", ")
    }

    private static func ranges(_ messages: [MessageID]) -> String {
        var words: [String] = []
        var index = 0
        while index < messages.count && words.count < 20 {
            var end = index
            while end + 1 < messages.count, messages[end + 1].rawValue == messages[end].rawValue + 1 { end += 1 }
            words.append(end == index ? "\(messages[index])" : "\(messages[index])-\(messages[end])")
            index = end + 1
        }
        return words.joined(separator: " ") + (index < messages.count ? " …" : "")
    }
}
