import BrokerProtocol

/// Which messages are open: at least one subscription owes them a verdict and has not given them up. Each change is
/// O(1).
extension BrokerState {
    /// How many subscriptions have given it up.
    func deadCount(_ id: MessageID) -> UInt16 { deadOwed.isEmpty ? 0 : deadOwed[id] ?? 0 }

    /// One more subscription owes it a verdict, and has not given it up.
    func owe(_ id: MessageID) {
        guard let entry = messages[id] else { return }
        if entry.owed == 0, let topic = topics[entry.topic], !topic.retained.ids.isEmpty {
            takeUp(id, entry, in: topic)
        }
        if entry.owed == deadCount(id) { topics[entry.topic]?.open(entry) }
        messages.amend(id) { $0.owed += 1 }
        owedCount += 1
    }

    /// A subscription has given it up, or takes it up again.
    func noteDeath(of id: MessageID, _ entry: MessageEntry, in topic: Topic, isDead: Bool) {
        let count = deadCount(id)
        if isDead {
            deadOwed[id] = count + 1
            if entry.owed == count + 1 { topic.close(entry) }
        } else {
            deadOwed[id] = count > 1 ? count - 1 : nil
            if entry.owed == count { topic.open(entry) }
        }
    }

    /// A subscription's part of it is over.
    /// - Parameter entry: As it was before.
    func noteRemoval(of id: MessageID, _ entry: MessageEntry, from topic: Topic, _ removal: Subscription.Removal) {
        let count = deadCount(id)
        if case .slot(.dead) = removal {
            deadOwed[id] = count > 1 ? count - 1 : nil
        } else if entry.owed == count + 1 {
            topic.close(entry)
        }
    }
}
