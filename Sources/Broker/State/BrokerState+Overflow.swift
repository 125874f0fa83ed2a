import BrokerProtocol

/// Room in a topic that has reached its limits.
extension BrokerState {
    /// How many messages a publish looks at to make room.
    private static let overflowTriesMax = 100

    /// Plans what must go so that one more message of `bytes` is inside the limits of its topic. What is leased or
    /// delayed stays.
    /// - Throws: `TOPIC_FULL`, naming the limit.
    func makeRoom(
        in topic: Topic, bytes: Int, _ plan: inout PublishPlan, now: Now
    ) throws(BrokerError) {
        guard let full = fullness(of: topic, bytes: bytes, plan) else { return }
        guard topic.settings.overflow != .reject, !isTooLarge(bytes, for: topic) else { throw full }
        var trial = plan
        var waiting = MergedIDs(from: plan.firstVictim(in: topic))
        for subscription in topic.subscriptions { subscription.addWaiting(to: &waiting) }
        var triesLeft = Self.overflowTriesMax
        while triesLeft > 0, let id = waiting.next() {
            triesLeft -= 1
            guard let entry = messages[id] else { continue }
            let losers = topic.subscriptions.filter { $0.isWaiting(id, entry) }
            if losers.isEmpty { continue }
            let facts = losers.map { subscription in
                topic.settings.overflow == .dropOldest
                    ? Fact.purged(subscription.id, [id])
                    : .died(subscription.id, id, Death(reason: .overflow, at: now.wall))
            }
            let open = Int(entry.owed) - Int(deadCount(id))
            trial.sacrifice(id, of: topic, facts, freed: open == losers.count ? Int(entry.contentBytes) : nil)
            if fullness(of: topic, bytes: bytes, trial) == nil {
                plan = trial
                return
            }
        }
        throw full
    }

    private func isTooLarge(_ bytes: Int, for topic: Topic) -> Bool {
        topic.settings.bytesMax > 0 && UInt64(bytes) > topic.settings.bytesMax
    }

    /// - Returns: Nil while there is room.
    private func fullness(of topic: Topic, bytes: Int, _ plan: PublishPlan) -> BrokerError? {
        let (messagesMax, bytesMax) = (topic.settings.messagesMax, topic.settings.bytesMax)
        if messagesMax > 0 && topic.openCount + plan.growth(of: topic).messages >= messagesMax {
            return BrokerError(.topicFull, "\(topic.name) holds \(messagesMax) open messages, its messages_max")
        }
        let total = Int(topic.openBytes) + plan.growth(of: topic).bytes + bytes
        if bytesMax > 0 && total > bytesMax {
            let text = "\(bytes) bytes more would make \(total) of open messages in \(topic.name)"
            return BrokerError(.topicFull, text + "; its bytes_max is \(bytesMax)")
        }
        return nil
    }
}

extension Subscription {
    /// Whether the message could be delivered, or only waits for its ordering key.
    func isWaiting(_ id: MessageID, _ entry: MessageEntry) -> Bool {
        switch slots[id]?.place {
        case .ready, .blocked: true
        case .leased, .delayed, .dead: false
        case nil: isFresh(id, entry)
        }
    }

    /// What stands in its lanes behind its cursors, fresh or not, and what waits with a slot.
    func addWaiting(to all: inout MergedIDs) {
        for lane in 0..<Topic.priorities {
            all.add(lane: topic.lanes[lane].from(cursors[lane]))
            all.add(returned[lane])
            all.add(blocked[lane])
        }
    }
}
