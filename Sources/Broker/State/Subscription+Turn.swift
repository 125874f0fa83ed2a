import BrokerProtocol

/// Overdue messages of low priority beside a flow of higher ones.
struct Ageing {
    enum Choice {
        case plain
        /// An overdue message waits behind it.
        case beforeOverdue
        case overdue
    }

    /// What the last look at the next message has found; counts when that message is handed out.
    var choice = Choice.plain
    /// Deliveries before the next overdue message.
    var passed = 0
    /// Of four deliveries one is overdue.
    static let passedMax = 3

    /// The message that was looked at was handed out.
    mutating func noteServed() {
        switch choice {
        case .plain: break
        case .beforeOverdue: passed += 1
        case .overdue: passed = 0
        }
    }
}

extension Subscription {
    /// The first message of a lane that could be delivered at once.
    func head(_ lane: Int) -> MessageID? {
        let fresh = firstFresh(lane)
        guard returnedLanes & 1 << UInt16(lane) != 0, let first = returned[lane].first else { return fresh }
        return fresh.map { min($0, first) } ?? first
    }

    /// The message to deliver next: by priority, then in publish order, unless an overdue one has its turn. It stays
    /// where it is.
    /// - Parameter since: Since when a message waits.
    func next(now: WallTime, since: (MessageID) -> WallTime) -> MessageID? {
        if readyCount == 0 { return nil }
        if let fair { return fair.next(rules, now: now, since: since) }
        var lanes = topic.usedLanes | returnedLanes
        while lanes != 0 {
            let lane = UInt16.bitWidth - 1 - lanes.leadingZeroBitCount
            lanes ^= 1 << UInt16(lane)
            guard let first = head(lane) else { continue }
            ageing.choice = .plain
            // A subscription whose messages all have one priority pays no more than this.
            let isAlone = lanes == 0 || freshCount(lane: lane) + returned[lane].count == readyCount
            if isAlone || rules.ageingMilliseconds == 0 { return first }
            let behind = (0..<lane).lazy.compactMap { self.head($0) }
            return ageing.choose(first, behind, rules.ageingMilliseconds, now: now, since: since)
        }
        assert(readyCount == 0, "ready messages that no lane holds")
        return nil
    }
}

extension Ageing {
    /// - Parameters:
    ///   - first: The head of the highest lane.
    ///   - behind: The heads of the lower ones.
    mutating func choose(
        _ first: MessageID, _ behind: some Sequence<MessageID>, _ milliseconds: Int64, now: WallTime,
        since: (MessageID) -> WallTime
    ) -> MessageID {
        choice = .plain
        var oldest: (since: WallTime, id: MessageID)?
        for id in behind {
            let time = since(id)
            if time.adding(milliseconds: milliseconds) >= now { continue }
            if oldest.map({ (time, id) < ($0.since, $0.id) }) ?? true { oldest = (time, id) }
        }
        guard let oldest else { return first }
        choice = passed >= Self.passedMax ? .overdue : .beforeOverdue
        return choice == .overdue ? oldest.id : first
    }
}
