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
        var returned = [[MessageID]](repeating: [], count: Topic.priorities)
        for (id, slot) in subscription.slots where slot.place == .ready || slot.place == .blocked {
            if let entry = messages[id] { returned[Int(entry.priority)].append(id) }
        }
        for lane in (0..<Topic.priorities).reversed() where ids.count < range.count {
            let fresh = subscription.fresh(lane)
            let slots = returned[lane].sorted()
            let merged = slots.isEmpty ? fresh : Self.merge(fresh, slots[...])
            let start = min(max(range.lowerBound - skipped, 0), merged.count)
            let end = min(max(range.upperBound - skipped, 0), merged.count)
            ids += merged[(merged.startIndex + start)..<(merged.startIndex + end)]
            skipped += merged.count
        }
        return ids
    }

    private static func merge(_ left: ArraySlice<MessageID>, _ right: ArraySlice<MessageID>) -> ArraySlice<MessageID> {
        var merged: [MessageID] = []
        merged.reserveCapacity(left.count + right.count)
        var (left, right) = (left, right)
        while let first = left.first, let second = right.first {
            if first < second {
                merged.append(first)
                left.removeFirst()
            } else {
                merged.append(second)
                right.removeFirst()
            }
        }
        return (merged + left + right)[...]
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
    func entryCount(of topic: Topic) -> Int {
        var dead: Set<MessageID> = []
        for subscription in topic.subscriptions where !subscription.dead.isEmpty { dead.formUnion(subscription.dead) }
        return topic.messageCount - dead.count { !isEntry($0, of: topic) }
    }

    /// The entries of a range in publish order, or against it.
    func entries(
        of topic: Topic, from: StreamBound, through: StreamBound? = nil, isReversed: Bool = false, limit: Int
    ) -> [MessageID] {
        var first = MessageID(rawValue: 0)
        var last = MessageID(rawValue: .max)
        if case .message(let id) = from { first = id }
        if case .message(let id)? = through { last = id }
        guard first <= last, limit > 0 else { return [] }
        var sources: [ArraySlice<MessageID>] = topic.lanes.compactMap { lane in
            let slice = Self.within(lane.from(lane.start), first, last)
            return slice.isEmpty ? nil : slice
        }
        var slots: Set<MessageID> = []
        for subscription in topic.subscriptions {
            for id in subscription.slots.keys where first <= id && id <= last { slots.insert(id) }
        }
        if !slots.isEmpty { sources.append(slots.sorted()[...]) }
        var ids: [MessageID] = []
        while ids.count < limit, let id = Self.takeNext(of: &sources, isReversed: isReversed) {
            guard isEntry(id, of: topic), let time = messages[id]?.publishedAt else { continue }
            if case .time(let earliest) = from, time < earliest { continue }
            if case .time(let latest)? = through, time > latest { continue }
            ids.append(id)
        }
        return ids
    }

    /// The part of ids in order that lies between two ids.
    private static func within(
        _ ids: ArraySlice<MessageID>, _ first: MessageID, _ last: MessageID
    ) -> ArraySlice<MessageID> {
        func index(_ isBefore: (MessageID) -> Bool) -> Int {
            var (low, high) = (ids.startIndex, ids.endIndex)
            while low < high {
                let middle = (low + high) / 2
                if isBefore(ids[middle]) { low = middle + 1 } else { high = middle }
            }
            return low
        }
        return ids[index { $0 < first }..<index { $0 <= last }]
    }

    /// The smallest (or largest) id of all sources, taken out of each that holds it.
    private static func takeNext(of sources: inout [ArraySlice<MessageID>], isReversed: Bool) -> MessageID? {
        let next = isReversed ? sources.compactMap(\.last).max() : sources.compactMap(\.first).min()
        guard let next else { return nil }
        for index in sources.indices {
            if isReversed {
                if sources[index].last == next { sources[index].removeLast() }
            } else if sources[index].first == next {
                sources[index].removeFirst()
            }
        }
        return next
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

extension Subscription {
    /// The fresh messages of a lane in publish order. When none left out of turn, nothing is copied.
    func fresh(_ lane: Int) -> ArraySlice<MessageID> {
        let ids = topic.lanes[lane].from(cursors[lane])
        if slots.isEmpty && ahead.isEmpty { return ids }
        return ids.filter { slots[$0] == nil && !ahead.contains($0) }[...]
    }
}
