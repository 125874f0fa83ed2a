/// The name of a schedule; it follows the rule of topic names.
public struct ScheduleName: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let text: String

    /// - Returns: Nil when the text breaks the rule.
    public init?(_ text: String) {
        if TopicName(text) == nil { return nil }
        self.text = text
    }

    public var description: String { text }
    public static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

/// What becomes of the ticks that passed while the broker was down.
public enum MissedTicks: UInt8, Hashable, Sendable, CaseIterable {
    /// None of them fires.
    case skip = 0
    /// The last one fires.
    case latest = 1
    /// Each fires, the last 1,000 at most.
    case all = 2
}

/// A message that is published again and again: at each tick of a cron line.
public struct Schedule: Hashable, Sendable {
    public var name: ScheduleName
    public var topic: TopicName
    /// `minute hour day-of-month month day-of-week`, `@every 90s`, `@hourly`, `@daily`, `@weekly`, `@monthly`,
    /// `@yearly`.
    public var cron: String
    /// Of the system's zone database, for instance `Europe/Berlin`.
    public var zone = "UTC"
    public var missed = MissedTicks.skip
    public var isPaused = false
    /// At most 64 KiB.
    public var body: [UInt8]
    public var headers: [Header] = []
    /// 0 (last) to 9 (first); 4 is the default.
    public var priority: UInt8 = 4
    public var orderingKey: String?
    /// So long after its publish the message expires; nil: as the topic says.
    public var expiryMilliseconds: Int64?

    public init(_ name: ScheduleName, topic: TopicName, cron: String, body: [UInt8] = []) {
        self.name = name
        self.topic = topic
        self.cron = cron
        self.body = body
    }
}

/// A schedule with what became of its ticks.
public struct ScheduleStatus: Hashable, Sendable {
    public var schedule: Schedule
    /// Nil: it is paused, its zone cannot be read, or nothing comes any more.
    public var next: WallTime?
    /// The last tick that was published or refused.
    public var last: WallTime?
    /// Ticks published and refused since the schedule was set.
    public var fired: UInt64 = 0
    public var refused: UInt64 = 0
    /// Why the last refused tick was, or why nothing fires.
    public var lastRefusal: String?
    public init(_ schedule: Schedule) { self.schedule = schedule }
}
