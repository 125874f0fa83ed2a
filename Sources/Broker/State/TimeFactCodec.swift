import BrokerProtocol

/// The facts of cancelled and rescheduled messages, of schedules and of pauses as bytes.
extension ByteWriter {
    mutating func progress(_ progress: ScheduleProgress) {
        i64(progress.anchor.milliseconds)
        i64(progress.handledUntil.milliseconds)
        optionalTime(progress.last)
        u64(progress.fired)
        u64(progress.refused)
        optionalText(progress.lastRefusal)
    }

    mutating func paused(_ place: PausePlace, _ scope: PauseScope, _ pause: Pause?) {
        switch place {
        case .topic(let id):
            u8(0)
            u32(id.rawValue)
        case .subscription(let id):
            u8(1)
            u32(id.rawValue)
        }
        u8(scope.rawValue)
        u8(pause == nil ? 0 : 1)
        if let pause { optionalTime(pause.until) }
    }
}

extension ByteReader {
    mutating func progress() throws(Malformed) -> ScheduleProgress {
        var progress = ScheduleProgress(since: try time("anchor"))
        progress.handledUntil = try time("handled until")
        progress.last = try optionalTime("last tick")
        progress.fired = try u64("fired")
        progress.refused = try u64("refused")
        progress.lastRefusal = try optionalText("last refusal")
        return progress
    }

    mutating func pausePlace() throws(Malformed) -> PausePlace {
        try flag("is of a subscription") ? .subscription(try subscriptionID()) : .topic(try topicID())
    }

    mutating func pause() throws(Malformed) -> Pause? {
        try flag("is paused") ? Pause(until: try optionalTime("until")) : nil
    }
}
