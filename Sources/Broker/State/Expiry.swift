import BrokerProtocol

/// When a message that has an end of its own is over. Earliest first.
struct ExpiryEntry: Comparable {
    let at: WallTime
    let message: MessageID
    static func < (left: Self, right: Self) -> Bool { (left.at, left.message) < (right.at, right.message) }
}

/// Messages whose time is over: by their own end, or by the age that their topic allows. Each is over for every
/// subscription that does not hold it leased; a leased one is looked at when it comes back.
struct Expiry {
    /// How often topics are looked through for old messages, in milliseconds.
    static let sweepMilliseconds: Int64 = 1_000
    /// Messages that one turn looks at; some milliseconds.
    static let messagesPerTurn = 1_000

    var ends = Heap<ExpiryEntry>()
    /// Live messages with an end of their own.
    var liveCount = 0
    /// Topics with `message_age_max`, in the order of their ids.
    var topics: [TopicID] = []
    /// On the monotonic clock.
    var nextSweep: Int64 = 0
    /// The log had no room for a verdict; nothing is tried before.
    var pausedUntil: Int64 = 0

    mutating func note(_ topic: TopicID, hasAge: Bool) {
        topics.removeAll { $0 == topic }
        guard hasAge else { return }
        topics.insert(topic, at: topics.firstIndex { topic < $0 } ?? topics.endIndex)
    }
}

extension BrokerState {
    /// Whether the time of a message is over; the earlier of its own end and the age of its topic. A message that came
    /// back from the dead letters has no end any more.
    func isExpired(_ id: MessageID, _ entry: MessageEntry, in subscription: Subscription, now: Now) -> Bool {
        if extras.isEmpty && expiry.topics.isEmpty { return false }
        if let slot = subscription.slots[id], slot.redrives > 0 { return false }
        let extra = extras.isEmpty ? nil : extras[id]
        if let end = extra?.expiresAt, end <= now.wall { return true }
        guard !expiry.topics.isEmpty, let topic = topics[entry.topic] else { return false }
        return isTooOld(entry, deliverAt: extra?.deliverAt, topic, now: now)
    }

    private func isTooOld(_ entry: MessageEntry, deliverAt: WallTime?, _ topic: Topic, now: Now) -> Bool {
        let age = topic.settings.messageAgeMaxMilliseconds
        if age == 0 { return false }
        let since = max(entry.publishedAt, deliverAt ?? entry.publishedAt)
        return since.adding(milliseconds: age) <= now.wall
    }

    /// Looks at a message again at its end, if it has one.
    func watchEnd(of id: MessageID) {
        guard !extras.isEmpty, let end = extras[id]?.expiresAt else { return }
        expiry.ends.insert(ExpiryEntry(at: end, message: id))
        expiry.ends.dropStale(liveCount: expiry.liveCount) { messages[$0.message] != nil }
    }

    /// The verdict on an expired message in one subscription.
    func expiry(of id: MessageID, in subscription: Subscription, now: Now) -> Fact {
        subscription.topic.settings.expired == .drop
            ? .purged(subscription.id, [id])
            : .died(subscription.id, id, Death(reason: .expired, at: now.wall))
    }

    /// - Returns: False when the log has no room for it now.
    func expire(_ id: MessageID, in subscription: Subscription, now: Now) -> Bool {
        let fact = expiry(of: id, in: subscription, now: now)
        let isFreeing = subscription.topic.settings.expired == .drop
        guard isFreeing || leavesRoomForAcks(Self.settleBytes), recordReserved([fact], isAwaited: false) else {
            return false
        }
        subscription.expired += 1
        return true
    }

    /// Ends what is over at `now`, some messages at a time.
    func expireMessages(now: Now) {
        if now.monotonic < expiry.pausedUntil { return }
        var left = Expiry.messagesPerTurn
        while left > 0, let first = expiry.ends.first, first.at <= now.wall {
            left -= 1
            guard expireEverywhere(first.message, now: now) else { return pauseExpiry(now: now) }
            expiry.ends.removeFirst()
        }
        if expiry.topics.isEmpty || now.monotonic < expiry.nextSweep { return }
        for id in expiry.topics {
            guard let topic = topics[id] else { continue }
            guard sweep(topic, &left, now: now) else { return pauseExpiry(now: now) }
        }
        expiry.nextSweep = left > 0 ? now.monotonic + Expiry.sweepMilliseconds : now.monotonic
    }

    private func pauseExpiry(now: Now) { expiry.pausedUntil = now.monotonic + 1_000 }

    /// - Returns: False when the log has no room for it now.
    private func expireEverywhere(_ id: MessageID, now: Now) -> Bool {
        guard let entry = messages[id], let topic = topics[entry.topic] else { return true }
        for subscription in topic.subscriptions {
            var isOpen = subscription.isWaiting(id, entry)
            if let slot = subscription.slots[id] {
                if case .delayed = slot.place { isOpen = true }
                if slot.redrives > 0 { isOpen = false }
            }
            if isOpen && !expire(id, in: subscription, now: now) { return false }
        }
        return true
    }

    /// Looks at what waits in a topic, the oldest first, until one is young enough. One with a deliver-at is older by
    /// its id than by its age, and is passed over.
    /// - Returns: False when the log has no room for a verdict now.
    private func sweep(_ topic: Topic, _ left: inout Int, now: Now) -> Bool {
        var waiting = MergedIDs()
        for subscription in topic.subscriptions { subscription.addWaiting(to: &waiting) }
        while left > 0, let id = waiting.next() {
            left -= 1
            guard let entry = messages[id] else { continue }
            let deliverAt = extras.isEmpty ? nil : extras[id]?.deliverAt
            if isTooOld(entry, deliverAt: deliverAt, topic, now: now) {
                guard expireEverywhere(id, now: now) else { return false }
            } else if deliverAt == nil {
                return true
            }
        }
        return true
    }

    /// Milliseconds until something may expire; nil when nothing will.
    func nextExpiry(now: Now) -> Int64? {
        var waits: [Int64] = []
        if let first = expiry.ends.first {
            waits.append(min(max(first.at.milliseconds - now.wall.milliseconds, 0), 1_000))
        }
        if !expiry.topics.isEmpty { waits.append(expiry.nextSweep - now.monotonic) }
        return waits.min().map { max($0, expiry.pausedUntil - now.monotonic, 0) }
    }
}
