import BrokerProtocol

/// Ordering keys that dead letters park, and the list of keys.
extension BrokerState {
    /// What the parking of a key takes in the log at most.
    static let parkingBytes = 288

    /// Bytes that a dead letter of the subscription may take beside its own fact.
    func parkingBytes(_ subscription: Subscription) -> Int { subscription.rules.parks ? Self.parkingBytes : 0 }

    /// Puts a fact before each death that parks a key: no crash falls between them.
    func parking(_ facts: [Fact]) -> [Fact] {
        facts.flatMap { fact in
            guard case .died(let id, let message, _) = fact, let subscription = subscriptions[id],
                subscription.rules.parks, let key = extras[message]?.orderingKey
            else { return [fact] }
            return [.keyParked(id, key: key, message), fact]
        }
    }

    /// Says again which keys a message parks, when it is written again.
    func parkings(of message: PublishedMessage, in topic: Topic) -> [Fact] {
        guard let key = message.orderingKey else { return [] }
        return topic.subscriptions.filter { $0.keys[key]?.parkedBy.contains(message.id) ?? false }.map {
            .keyParked($0.id, key: key, message.id)
        }
    }

    func applyParked(_ id: SubscriptionID, _ key: String, _ message: MessageID) {
        guard let subscription = subscriptions[id], let entry = messages[message],
            subscription.owes(message, entry), extras[message]?.orderingKey == key
        else { return }
        subscription.park(key, by: message)
    }

    func applyReleased(_ id: SubscriptionID, _ key: String) {
        guard let subscription = subscriptions[id], let next = subscription.release(key) else { return }
        move(id, next, to: .ready)
    }

    /// Keys that one fact names at most.
    private static let keysPerFact = 1_000

    /// Releases parked keys; those that are not parked stay as they are.
    /// - Parameter keys: None: all that are parked.
    /// - Returns: How many were parked; fewer when the log became full on the way.
    /// - Throws: `DISK_FULL` when not one could be released.
    func release(_ keys: [String], of subscription: Subscription) throws(BrokerError) -> UInt64 {
        func isParked(_ key: String) -> Bool { subscription.keys[key].map { !$0.parkedBy.isEmpty } ?? false }
        let chosen = (keys.isEmpty ? Array(subscription.keys.keys) : Array(Set(keys))).filter(isParked).sorted()
        var done = 0
        while done < chosen.count {
            let piece = Array(chosen[done..<min(done + Self.keysPerFact, chosen.count)])
            let bytes = piece.reduce(64) { $0 + $1.utf8.count + 2 }
            guard leavesRoomForAcks(bytes), recordReserved([.keyReleased(subscription.id, piece)]) else {
                if done > 0 { break }
                throw BrokerError(.diskFull, "no disk space to release keys; nothing was changed")
            }
            done += piece.count
        }
        return UInt64(done)
    }

    /// The most keys in one answer.
    private static let keysPerPage: UInt32 = 1_000

    /// Ordering keys that a message holds, or that hold messages, by their text.
    /// - Parameter after: The first ones behind this text.
    func keyStatuses(of subscription: Subscription, after: String, limit: UInt32, parkedOnly: Bool) -> [KeyStatus] {
        let count = Int(min(limit, Self.keysPerPage))
        if count == 0 || (parkedOnly && subscription.parkedKeyCount == 0) { return [] }
        // One look at each key, and a heap as large as the page: the largest key of it comes out first.
        var page = Heap<Descending>()
        for (key, held) in subscription.keys where key > after && (!parkedOnly || !held.parkedBy.isEmpty) {
            if page.count == count {
                guard let last = page.first, key < last.key else { continue }
                page.removeFirst()
            }
            page.insert(Descending(key: key))
        }
        var keys: [String] = []
        while let last = page.removeFirst() { keys.append(last.key) }
        return keys.reversed().compactMap { status(of: $0, in: subscription) }
    }

    private struct Descending: Comparable {
        let key: String
        static func < (left: Self, right: Self) -> Bool { left.key > right.key }
    }

    private func status(of key: String, in subscription: Subscription) -> KeyStatus? {
        guard let held = subscription.keys[key] else { return nil }
        var state = KeyStatus.State.limited
        if !held.parkedBy.isEmpty {
            state = .parked
        } else if let owner = held.owner {
            if case .leased? = subscription.slots[owner]?.place { state = .inFlight } else { state = .waiting }
        }
        return KeyStatus(
            key: key, state: state, owner: held.parkedBy.first ?? held.owner ?? MessageID(rawValue: 0),
            held: UInt64(held.blockedCount))
    }

    // MARK: Numbers

    /// The numbers of a subscription that are not zero.
    func dispatchFigures(of subscription: Subscription) -> [Figure] {
        let figures: [(String, Int)] = [
            ("held", subscription.blockedCount), ("parked_keys", subscription.parkedKeyCount),
            ("rate_waits", Int(clamping: subscription.pace.waits)),
            ("limited_keys", subscription.pace.limited.count), ("fair_values", subscription.fair?.valueCount ?? 0),
            ("sticky_keys", subscription.sticky?.count ?? 0),
        ]
        return figures.filter { $0.1 != 0 }.map { Figure($0.0, Int64($0.1)) }
    }
}
