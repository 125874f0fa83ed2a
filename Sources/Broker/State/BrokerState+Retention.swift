import BrokerProtocol

/// What lives in each segment of the log.
struct SegmentLedger {
    private struct SegmentNumber: NumberedID {
        let number: UInt64
    }

    private var liveBytes = NumberMap<SegmentNumber, Int>()
    private var dedupCounts: [UInt64: Int] = [:]
    private(set) var totalBytes = 0
    /// Segments below this one were given up.
    var retiredBefore: UInt64 = 0

    mutating func add(_ entry: MessageEntry, _ segmentBytes: UInt64) {
        let segment = SegmentNumber(number: entry.position / segmentBytes)
        liveBytes[segment] = (liveBytes[segment] ?? 0) + Int(entry.bytes)
        totalBytes += Int(entry.bytes)
    }

    mutating func remove(_ entry: MessageEntry, _ segmentBytes: UInt64) {
        let segment = SegmentNumber(number: entry.position / segmentBytes)
        totalBytes -= Int(entry.bytes)
        let left = (liveBytes[segment] ?? 0) - Int(entry.bytes)
        liveBytes[segment] = left > 0 ? left : nil
    }

    mutating func addDedup(_ count: Int, segment: UInt64) { dedupCounts[segment, default: 0] += count }

    mutating func forget(_ segment: UInt64) {
        liveBytes[SegmentNumber(number: segment)] = nil
        dedupCounts[segment] = nil
    }

    func liveBytes(in segment: UInt64) -> Int { liveBytes[SegmentNumber(number: segment)] ?? 0 }
    func hasDedupEntries(in segment: UInt64) -> Bool { dedupCounts[segment] != nil }
}

/// How the log gets shorter: its oldest segment is given up when nothing in it counts any more, and what still counts
/// is written again further on when the log has become more than twice as long as what lives in it.
extension BrokerState {
    /// What to do with the oldest segment now.
    enum RetentionStep: Equatable {
        case nothing
        /// Show each record of this segment to ``restate(_:at:now:)``, then call ``retire(_:)``.
        case scan(UInt64)
        case retire(UInt64)
    }

    /// - Parameter current: The segment that is being written.
    func retentionStep(current: UInt64) -> RetentionStep {
        recycleHistory()
        let oldest = max(journal.firstSegment, segments.retiredBefore)
        guard oldest < current else { return .nothing }
        if segments.liveBytes(in: oldest) == 0 {
            return segments.hasDedupEntries(in: oldest) ? .scan(oldest) : .retire(oldest)
        }
        let length = (current - oldest) * segmentBytes
        let isWasteful = length > 2 * UInt64(segments.totalBytes) + 4 * segmentBytes
        // What is written again takes less than what it frees; on a full disk it may use the reserve when it is little.
        let free = UInt64(max(journal.publishBytesFree, 0))
        let live = UInt64(segments.liveBytes(in: oldest))
        let isAffordable = free > 0 || live <= segmentBytes / 8
        let isUrgent = free < 4 * segmentBytes && live <= segmentBytes / 2
        return (isWasteful || isUrgent) && isAffordable ? .scan(oldest) : .nothing
    }

    /// Writes what still counts of a record again.
    /// - Returns: False when there is no space for it now; nothing is lost, and the segment must stay.
    func restate(_ facts: [(fact: Fact, offset: Int)], at position: UInt64, now: Now) -> Bool {
        var again: [[Fact]] = []
        for (fact, offset) in facts {
            switch fact {
            case .published(let message):
                again.append(restatement(of: message, at: RecordAddress(position: position, offset: offset)))
                if let dedupID = message.dedupID,
                    let entry = topics[message.topic]?.current(dedupID, message.id, now: now.wall)
                {
                    again.append([.deduplicated(message.topic, [entry])])
                }
            case .restated(let message, _):
                again.append(restatement(of: message, at: RecordAddress(position: position, offset: offset)))
            case .deduplicated(let topic, let entries):
                let current = entries.compactMap { topics[topic]?.current($0.dedupID, $0.message, now: now.wall) }
                if !current.isEmpty { again.append([.deduplicated(topic, current)]) }
            default: break
            }
        }
        // One record each: together they may be larger than the record that they come from.
        return again.allSatisfy { recordReserved($0) }
    }

    private func restatement(of published: PublishedMessage, at address: RecordAddress) -> [Fact] {
        guard let entry = messages[published.id], entry.address == address, let topic = topics[published.topic]
        else { return [] }
        let records = topic.subscriptions.filter { $0.owes(published.id, entry) }.map { subscription in
            (subscription.slots[published.id] ?? Slot(place: .ready)).record(of: subscription.id)
        }
        // It may have been rescheduled.
        let deliverAt = extras[published.id]?.deliverAt
        let restated = deliverAt == published.deliverAt ? published : published.delivered(at: deliverAt)
        return [.restated(restated, records)] + parkings(of: published, in: topic)
    }

    /// The oldest segment holds nothing that counts: it goes as soon as all that was logged until now is durable, and
    /// its history is over.
    func retire(_ segment: UInt64) {
        assert(segments.liveBytes(in: segment) == 0)
        segments.forget(segment)
        segments.retiredBefore = segment + 1
        recycleHistory()
    }

    private static func definition(of subscription: Subscription) -> Fact {
        if let pattern = subscription.pattern {
            return .memberDefined(subscription.id, subscription.topic.id, of: pattern.id, start: .now)
        }
        return .subscriptionDefined(
            subscription.id, subscription.topic.id, name: subscription.name.name, start: .now, subscription.origin)
    }

    /// Everything but messages, inside the first record of each segment: so the oldest one that is left always begins
    /// with the definitions that its records need, whole or not at all.
    func definitions() -> [Fact] {
        var facts: [Fact] = [
            .counted(
                nextMessage: MessageID(rawValue: nextMessage), nextTopic: TopicID(rawValue: nextTopic),
                nextSubscription: SubscriptionID(rawValue: nextSubscription))
        ]
        if limits.historyMilliseconds > 0, let time = clock.logged { facts.append(.clocked(time)) }
        facts += patternFacts()
        for topic in topics.values.sorted(by: { $0.id < $1.id }) {
            facts.append(.topicDefined(topic.id, topic.name, topic.settings))
            let forgotten = topic.retained.forgotten
            if forgotten.rawValue > 0 { facts.append(.forgotten(topic.id, through: forgotten)) }
            for subscription in topic.subscriptions {
                facts.append(Self.definition(of: subscription))
                if !subscription.filter.isEmpty {
                    facts.append(.subscriptionFiltered(subscription.id, subscription.filter))
                }
                if let reading = subscription.reading { facts.append(.assigned(subscription.id, [], rest: reading)) }
                if let settings = subscription.ownSettings {
                    facts.append(.subscriptionSet(subscription.id, settings))
                }
            }
            facts += pauseFacts(of: topic)
        }
        return facts + scheduleFacts() + jobs.map { .jobStarted($0.record) }
    }
}
