import BrokerProtocol

/// Looks at messages that change nothing: as the list of a subscription, and as the stream of a topic.
extension BrokerState {
    // MARK: Lists

    /// Messages that wait for their turn. Those whose ordering key is held count as well.
    func listCount(_ subscription: Subscription) -> Int { subscription.readyCount + subscription.blockedCount }

    /// The messages of a list in the order in which they would be popped.
    /// - Parameter range: Indices, inside `0..<listCount`.
    func list(_ subscription: Subscription, _ range: Range<Int>) -> [MessageID] {
        var ids: [MessageID] = []
        var skipped = 0
        for lane in (0..<Topic.priorities).reversed() where skipped < range.upperBound {
            let count = subscription.waitingCount(lane: lane)
            let start = min(max(range.lowerBound - skipped, 0), count)
            let end = min(range.upperBound - skipped, count)
            ids += subscription.waiting(lane: lane, start..<max(start, end))
            skipped += count
        }
        return ids
    }

    /// Takes messages from a subscription for good; nobody else loses them.
    /// - Returns: How many are gone; fewer than given when the log became full on the way.
    @discardableResult
    func drop(_ ids: [MessageID], from subscription: Subscription) throws(BrokerError) -> UInt64 {
        try recordInPieces(ids) { .purged(subscription.id, $0) }
    }

    // MARK: Streams

    /// Whether a message is an entry of its topic's stream: somebody still is to get it. A dead letter is none.
    private func isEntry(_ id: MessageID, of topic: Topic) -> Bool {
        guard let entry = messages[id] else { return false }
        return topic.subscriptions.contains { subscription in
            guard let slot = subscription.slots[id] else { return subscription.isFresh(id, entry) }
            return slot.place != .dead
        }
    }

    /// Entries of the topic's stream.
    func entryCount(of topic: Topic) -> Int { topic.openCount }

    /// The entries of a range in publish order, or against it.
    func entries(
        of topic: Topic, from: StreamBound, through: StreamBound? = nil, isReversed: Bool = false, limit: Int
    ) -> [MessageID] {
        var first = MessageID(rawValue: 0)
        var last = MessageID(rawValue: .max)
        if case .message(let id) = from { first = id }
        if case .message(let id)? = through { last = id }
        guard first <= last, limit > 0 else { return [] }
        var all = MergedIDs(from: first, through: last, isReversed: isReversed)
        for lane in topic.lanes { all.add(lane: lane.from(lane.start)) }
        for subscription in topic.subscriptions { subscription.addSlots(to: &all) }
        var ids: [MessageID] = []
        while ids.count < limit, let id = all.next() {
            guard isEntry(id, of: topic), let time = messages[id]?.publishedAt else { continue }
            if case .time(let earliest) = from, time < earliest { continue }
            if case .time(let latest)? = through, time > latest { continue }
            ids.append(id)
        }
        return ids
    }

    /// Deletes entries of a stream for everybody. Dead letters stay.
    /// - Returns: How many were entries.
    func delete(_ ids: [MessageID], of topic: Topic) throws(BrokerError) -> Int {
        let present = ids.filter { isEntry($0, of: topic) }
        for subscription in topic.subscriptions {
            let owed = present.filter { id in
                guard let entry = messages[id] else { return false }
                return subscription.owes(id, entry) && subscription.slots[id]?.place != .dead
            }
            try drop(owed, from: subscription)
        }
        return present.count
    }
}
