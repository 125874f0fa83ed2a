import BrokerProtocol

/// A topic with its fresh messages: those that at least one subscription has not touched yet.
final class Topic {
    static let priorities = 10
    /// A lane is trimmed when a cursor has gone this far: often enough for RAM, and seldom enough that looking at all
    /// cursors costs little.
    static let trimStep: UInt64 = 64

    let id: TopicID
    let name: TopicName
    var settings: TopicSettings {
        didSet { isLimited = settings.isLimited }
    }
    private(set) var isLimited: Bool
    var intakePause: Pause?
    /// Of all its subscriptions.
    var deliveryPause: Pause?
    /// In the order of creation.
    var subscriptions: [Subscription] = []
    /// Acknowledged messages that are kept; not among ``messageCount``.
    var retained = RetainedMessages()
    /// Of the subscriptions, those that have a filter.
    var filteredCount = 0
    /// Message ids in publish order, by priority. Each subscription has a cursor into each lane.
    private(set) var lanes = [SlidingArray<MessageID>](repeating: SlidingArray(), count: priorities)
    /// Which lanes hold something, a bit for each.
    private(set) var usedLanes: UInt16 = 0
    /// Messages that some subscription owes a verdict or keeps as a dead letter.
    var messageCount = 0
    /// Messages that at least one subscription still has to deliver or settle: it owes them a verdict, and they are
    /// not dead there.
    private(set) var openCount = 0
    /// Bytes of the open messages' bodies and headers.
    private(set) var openBytes: UInt64 = 0
    var published: UInt64 = 0
    /// Messages that were given up to make room, since the start.
    var sacrificed: UInt64 = 0
    /// The last message that was published here, also when it is gone.
    var newest: StreamPosition?
    /// How Redis clients wrote last; known until the broker ends.
    var view = ListView.newestFirst
    private var dedup: [String: DedupEntry] = [:]
    private var dedupOrder = SlidingArray<DedupEntry>()

    init(id: TopicID, name: TopicName, settings: TopicSettings) {
        self.id = id
        self.name = name
        self.settings = settings
        isLimited = settings.isLimited
    }

    /// Whether a message that is nothing but its content needs no other look at the topic: there are no limits, and
    /// each subscription takes it from its lane.
    var isPlain: Bool {
        if isLimited || intakePause != nil { return false }
        for subscription in subscriptions where subscription.isQueued { return false }
        return true
    }

    func append(_ message: MessageID, priority: UInt8) {
        lanes[Int(priority)].append(message)
        usedLanes |= 1 << UInt16(priority)
    }

    /// Drops the front of a lane that every subscription has passed.
    func trim(lane: Int) {
        var passed = lanes[lane].end
        for subscription in subscriptions { passed = min(passed, subscription.cursors[lane]) }
        lanes[lane].drop(before: passed)
        if lanes[lane].isEmpty { usedLanes &= ~(1 << UInt16(lane)) }
    }

    /// A subscription is gone: perhaps it was the last to hold something.
    func trim() {
        for lane in 0..<Self.priorities { trim(lane: lane) }
    }

    func open(_ entry: MessageEntry) {
        openCount += 1
        openBytes += UInt64(entry.contentBytes)
    }

    func close(_ entry: MessageEntry) {
        openCount -= 1
        openBytes -= UInt64(entry.contentBytes)
    }

    // MARK: Dedup

    var hasDedupEntries: Bool { !dedup.isEmpty }

    func duplicate(of dedupID: String, now: WallTime) -> MessageID? {
        guard let entry = dedup[dedupID], entry.until > now else { return nil }
        return entry.message
    }

    func remember(_ entry: DedupEntry, countMax: Int) {
        dedup[entry.dedupID] = entry
        dedupOrder.append(entry)
        while dedup.count > countMax { forgetFirst() }
    }

    /// Forgets dedup ids whose window is over. An entry behind a longer-lived one goes later; nobody sees it.
    func forgetDuplicates(now: WallTime) {
        while !dedupOrder.isEmpty, dedupOrder[dedupOrder.start].until <= now { forgetFirst() }
    }

    private func forgetFirst() {
        let first = dedupOrder[dedupOrder.start]
        dedupOrder.drop(before: dedupOrder.start + 1)
        if dedup[first.dedupID] == first { dedup[first.dedupID] = nil }
    }

    /// When the window of a message's dedup id is over; nil when it has none that counts. Looks at all of them.
    func dedupEnd(of message: MessageID) -> WallTime? { dedup.values.first { $0.message == message }?.until }

    /// The entry when it still counts.
    func current(_ dedupID: String, _ message: MessageID, now: WallTime) -> DedupEntry? {
        guard let entry = dedup[dedupID], entry.message == message, entry.until > now else { return nil }
        return entry
    }
}
