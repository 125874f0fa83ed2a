import BrokerProtocol

/// A topic with its fresh messages: those that at least one subscription has not touched yet.
final class Topic {
    static let priorities = 10

    let id: TopicID
    let name: TopicName
    var settings: TopicSettings
    /// In the order of creation.
    var subscriptions: [Subscription] = []
    /// Message ids in publish order, by priority. Each subscription has a cursor into each lane.
    private(set) var lanes = [SlidingArray<MessageID>](repeating: SlidingArray(), count: priorities)
    /// Live messages.
    var messageCount = 0
    var published: UInt64 = 0
    private var dedup: [String: DedupEntry] = [:]
    private var dedupOrder = SlidingArray<DedupEntry>()

    init(id: TopicID, name: TopicName, settings: TopicSettings) {
        self.id = id
        self.name = name
        self.settings = settings
    }

    func append(_ message: MessageID, priority: UInt8) { lanes[Int(priority)].append(message) }

    /// Drops the front of a lane that every subscription has passed.
    func trim(lane: Int) {
        let passed = subscriptions.map { $0.cursors[lane] }.min() ?? lanes[lane].end
        if passed >= lanes[lane].start + 1024 || passed == lanes[lane].end { lanes[lane].drop(before: passed) }
    }

    // MARK: Dedup

    var hasDedupEntries: Bool { !dedup.isEmpty }

    func duplicate(of dedupID: String, now: WallTime) -> MessageID? {
        guard let entry = dedup[dedupID], entry.until > now else { return nil }
        return entry.message
    }

    func remember(_ entry: DedupEntry) {
        dedup[entry.dedupID] = entry
        dedupOrder.append(entry)
    }

    /// Forgets dedup ids whose window is over. An entry behind a longer-lived one goes later; nobody sees it.
    func forgetDuplicates(now: WallTime) {
        while !dedupOrder.isEmpty, dedupOrder[dedupOrder.start].until <= now {
            let first = dedupOrder[dedupOrder.start]
            dedupOrder.drop(before: dedupOrder.start + 1)
            if dedup[first.dedupID] == first { dedup[first.dedupID] = nil }
        }
    }

    /// The entry when it still counts.
    func current(_ dedupID: String, _ message: MessageID, now: WallTime) -> DedupEntry? {
        guard let entry = dedup[dedupID], entry.message == message, entry.until > now else { return nil }
        return entry
    }
}
