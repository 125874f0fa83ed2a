import BrokerProtocol

/// A message as RAM knows it.
struct Message {
    let id: MessageID
    let topic: TopicID
    let publishedAt: WallTime
    let priority: UInt8
    let deliverAt: WallTime?
    let expiresAt: WallTime?
    var address: RecordAddress
    /// Bytes of its record, roughly; for the accounting of segments.
    let bytes: Int
    /// Subscriptions that still owe a verdict, dead letters included.
    var owed: Int
}

struct Topic {
    let id: TopicID
    let name: TopicName
    var settings: TopicSettings
    /// In the order of creation.
    var subscriptions: [SubscriptionID] = []
    /// Messages in publish order; those at the front that are settled everywhere have been dropped.
    var order = Fifo<MessageID>()
    var messageCount = 0
    var published: UInt64 = 0
    private var dedup: [String: DedupEntry] = [:]
    private var dedupOrder = Fifo<DedupEntry>()

    init(id: TopicID, name: TopicName, settings: TopicSettings) {
        self.id = id
        self.name = name
        self.settings = settings
    }

    func duplicate(of dedupID: String, now: WallTime) -> MessageID? {
        guard let entry = dedup[dedupID], entry.until > now else { return nil }
        return entry.message
    }

    mutating func remember(_ entry: DedupEntry) {
        dedup[entry.dedupID] = entry
        dedupOrder.append(entry)
    }

    /// Forgets dedup ids whose window is over.
    mutating func forgetDuplicates(now: WallTime) {
        while let first = dedupOrder.first, first.until <= now {
            _ = dedupOrder.removeFirst()
            if dedup[first.dedupID] == first { dedup[first.dedupID] = nil }
        }
    }

    var dedupEntries: [DedupEntry] { Array(dedupOrder.waiting) }
}
