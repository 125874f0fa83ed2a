import BrokerProtocol

/// Looks at a subscription's messages in their order, which touch what they return and little else.
extension Subscription {
    /// Dead letters by id, from `first` on.
    func deadLetters(from first: MessageID = MessageID(rawValue: 0), limit: Int = .max) -> [MessageID] {
        Array(dead.from(first).prefix(limit))
    }

    /// Every message that it owes a verdict, in id order.
    func owed() -> [MessageID] {
        var all = MergedIDs()
        for lane in 0..<Topic.priorities { all.add(lane: fresh(lane)) }
        addSlots(to: &all)
        all.add(dead)
        return Array(all)
    }

    /// What has a slot, the dead letters left out.
    func addSlots(to all: inout MergedIDs) {
        all.add(leased)
        all.add(delayed)
        for lane in 0..<Topic.priorities {
            all.add(returned[lane])
            all.add(blocked[lane])
        }
    }

    /// Messages up to an id that wait for their turn, in id order.
    func waiting(through last: MessageID) -> [MessageID] {
        var all = MergedIDs(through: last)
        for lane in 0..<Topic.priorities {
            all.add(lane: fresh(lane, through: last))
            all.add(returned[lane])
            all.add(blocked[lane])
        }
        return Array(all)
    }

    /// The fresh messages of a lane in publish order. When none left out of turn, nothing is copied.
    private func fresh(
        _ lane: Int, through last: MessageID = MessageID(rawValue: .max)
    ) -> ArraySlice<MessageID> {
        let all = topic.lanes[lane].from(cursors[lane])
        let ids = last.rawValue == .max ? all : all[..<all.index(of: MessageID(rawValue: last.rawValue + 1))]
        return ahead[lane].isEmpty ? ids : ids.filter { !ahead[lane].contains($0) }[...]
    }

    // MARK: The list

    /// Messages of a lane that wait for their turn, in their order.
    func waitingCount(lane: Int) -> Int { freshCount(lane: lane) + returned[lane].count + blocked[lane].count }

    /// - Parameter range: Indices, inside `0..<waitingCount(lane:)`.
    func waiting(lane: Int, _ range: Range<Int>) -> [MessageID] {
        if range.isEmpty { return [] }
        let ids = topic.lanes[lane].from(cursors[lane])
        let start = range.lowerBound == 0 ? MessageID(rawValue: 0) : waitingID(lane, ids, at: range.lowerBound)
        var all = MergedIDs(from: start)
        all.add(lane: ids)
        all.add(returned[lane])
        all.add(blocked[lane])
        let left = ahead[lane]
        var page: [MessageID] = []
        while page.count < range.count, let id = all.next() {
            if left.isEmpty || !left.contains(id) || isWaiting(id) { page.append(id) }
        }
        return page
    }

    private func isWaiting(_ id: MessageID) -> Bool {
        switch slots[id]?.place {
        case .ready, .blocked: true
        case nil, .leased, .delayed, .dead: false
        }
    }

    /// The message at an index, found by halving the range of ids.
    private func waitingID(_ lane: Int, _ ids: ArraySlice<MessageID>, at index: Int) -> MessageID {
        func countBefore(_ id: MessageID) -> Int {
            ids.index(of: id) - ids.startIndex - ahead[lane].rank(of: id) + returned[lane].rank(of: id)
                + blocked[lane].rank(of: id)
        }
        let lasts = [ids.last, returned[lane].last, blocked[lane].last].compactMap { $0?.rawValue }
        var (low, high) = (UInt64(0), lasts.max() ?? 0)
        // The largest id with no more than `index` before it.
        while low < high {
            let middle = high - (high - low) / 2
            if countBefore(MessageID(rawValue: middle)) <= index { low = middle } else { high = middle - 1 }
        }
        return MessageID(rawValue: low)
    }
}
