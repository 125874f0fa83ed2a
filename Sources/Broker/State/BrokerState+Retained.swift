import BrokerProtocol

/// Acknowledged messages that a topic keeps. One takes its 32 bytes of the message table, and half a byte to eight
/// bytes in the set; its record stays in the log.
struct RetainedMessages {
    private(set) var ids = OrderedIDs()
    /// Of bodies and headers.
    private(set) var bytes: UInt64 = 0
    /// What is not younger than this message is kept no more.
    fileprivate(set) var forgotten = MessageID(rawValue: 0)
    /// Whether the topic waits to be looked at.
    fileprivate var isDue = false
    /// When the oldest one is to be looked at, at the latest.
    fileprivate var checkAt: WallTime?

    fileprivate mutating func insert(_ id: MessageID, _ entry: MessageEntry) {
        if ids.insert(id) { bytes += UInt64(entry.contentBytes) }
    }

    fileprivate mutating func remove(_ id: MessageID, _ entry: MessageEntry) -> Bool {
        guard ids.remove(id) else { return false }
        bytes -= UInt64(entry.contentBytes)
        return true
    }
}

/// When a topic's oldest acknowledged message is over.
struct RetainDeadline: Comparable {
    let until: WallTime
    let topic: TopicID
    static func < (left: Self, right: Self) -> Bool { (left.until, left.topic) < (right.until, right.topic) }
}

extension BrokerState {
    /// Nobody owes the message any more: keeps it when the topic does so.
    /// - Returns: False when it goes.
    func retain(_ id: MessageID, _ entry: MessageEntry, in topic: Topic) -> Bool {
        guard topic.settings.retains, id > topic.retained.forgotten else { return false }
        topic.retained.insert(id, entry)
        let bytesMax = topic.settings.retainBytes
        if topic.retained.checkAt == nil || (bytesMax > 0 && topic.retained.bytes > bytesMax) {
            lookAtRetained(of: topic)
        }
        return true
    }

    /// Somebody owes it again.
    func takeUp(_ id: MessageID, _ entry: MessageEntry, in topic: Topic) {
        if topic.retained.remove(id, entry) { topic.messageCount += 1 }
    }

    /// The next turn looks what the topic keeps too long.
    func lookAtRetained(of topic: Topic) {
        if topic.retained.isDue || topic.retained.ids.isEmpty { return }
        topic.retained.isDue = true
        retainersDue.append(topic)
    }

    /// Everything that is not younger than `last` is kept no more.
    func forgetRetained(of topic: Topic, through last: MessageID) {
        topic.retained.forgotten = max(topic.retained.forgotten, last)
        while let id = topic.retained.ids.first, id <= last, let entry = messages[id] {
            _ = topic.retained.remove(id, entry)
            messages.remove(id)
            if let extra = extras.removeValue(forKey: id), extra.expiresAt != nil { expiry.liveCount -= 1 }
            segments.remove(entry, segmentBytes)
        }
    }

    /// Messages of one topic that one turn gives up; some milliseconds.
    private static let forgottenPerTurn = 1_000

    /// Gives up the oldest of what is over, a little in each turn.
    func forgetRetained(now: Now) {
        while let first = retainDeadlines.first, first.until <= now.wall {
            retainDeadlines.removeFirst()
            guard let topic = topics[first.topic], topic.retained.checkAt == first.until else { continue }
            topic.retained.checkAt = nil
            lookAtRetained(of: topic)
        }
        let due = retainersDue
        retainersDue = []
        for topic in due where topics[topic.id] === topic {
            topic.retained.isDue = false
            let over = firstOver(of: topic, now: now)
            if let last = over.last, !recordReserved([.forgotten(topic.id, through: last)], isAwaited: false) {
                lookAtRetained(of: topic)
                continue
            }
            if over.count == Self.forgottenPerTurn { lookAtRetained(of: topic) }
            scheduleRetained(of: topic)
        }
    }

    /// The oldest messages that are kept too long, in order.
    private func firstOver(of topic: Topic, now: Now) -> [MessageID] {
        let settings = topic.settings
        var bytes = topic.retained.bytes
        var over: [MessageID] = []
        for id in topic.retained.ids.from().prefix(Self.forgottenPerTurn) {
            guard let entry = messages[id] else { break }
            let isOld =
                settings.retainMilliseconds > 0
                && entry.publishedAt.adding(milliseconds: settings.retainMilliseconds) <= now.wall
            let isTooMuch = settings.retainBytes > 0 && bytes > settings.retainBytes
            guard !settings.retains || isOld || isTooMuch else { break }
            bytes -= UInt64(entry.contentBytes)
            over.append(id)
        }
        return over
    }

    private func scheduleRetained(of topic: Topic) {
        let span = topic.settings.retainMilliseconds
        guard span > 0, let first = topic.retained.ids.first, let entry = messages[first] else { return }
        let until = entry.publishedAt.adding(milliseconds: span)
        if let checkAt = topic.retained.checkAt, checkAt <= until { return }
        topic.retained.checkAt = until
        retainDeadlines.insert(RetainDeadline(until: until, topic: topic.id))
    }

    // MARK: Rewind

    /// The subscription owes again what the topic holds from `start` on and it does not owe now.
    /// - Returns: The count when there is nothing to read; else it comes when all is read.
    func rewind(
        _ name: SubscriptionName, to start: StartPosition, origin: Origin
    ) throws(BrokerError) -> Response? {
        if let pattern = patterns[name] { return try rewind(pattern, to: start, origin: origin) }
        let subscription = try existing(name)
        guard subscription.reading == nil else {
            throw BrokerError(.unsupported, "\(name) still reads older messages; rewind it when that is done")
        }
        guard let reading = Reading(from: start, through: MessageID(rawValue: nextMessage - 1)) else {
            return .count(0)
        }
        var allowance = ReadingAllowance()
        let (ids, rest) = try nextPiece(
            of: reading, in: subscription.topic, for: subscription, subscription.filter, &allowance)
        let ticket = ReadingTicket(origin, .count)
        ticket.left = 1
        subscription.tickets.append(ticket)
        do throws(BrokerError) {
            try assign(ids, to: subscription, rest)
        } catch {
            subscription.tickets.removeAll { $0 === ticket }
            throw error
        }
        return nil
    }
}
