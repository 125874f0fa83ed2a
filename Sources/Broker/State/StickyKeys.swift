import BrokerProtocol

/// Which consumer has an ordering key: the one that got a message of it first, as long as it lives.
final class StickyKeys {
    /// The consumer may have ended; then the next one takes the key.
    private var owners: [String: Consumer] = [:]
    /// In the order in which the keys were given away.
    private var order = SlidingArray<String>()
    /// With more keys the one that was given away first is forgotten, unless it is in use.
    static let keysMax = 1_000_000

    var count: Int { owners.count }

    func owner(of key: String) -> Consumer? {
        guard let owner = owners[key], !owner.isEnded else { return nil }
        return owner
    }

    func give(_ key: String, to consumer: Consumer, isInUse: (String) -> Bool) {
        if owners.updateValue(consumer, forKey: key) != nil { return }
        order.append(key)
        // One is forgotten for each that comes; some in use may stay beyond the limit.
        guard owners.count > Self.keysMax else { return }
        let first = order[order.start]
        order.drop(before: order.start + 1)
        if isInUse(first) { order.append(first) } else { owners[first] = nil }
    }
}

extension Source {
    /// A consumer may have room for what is held for it.
    func noteFree(_ consumer: Consumer) {
        if consumer.held.isEmpty || consumer.isFreed { return }
        consumer.isFreed = true
        freed.append(consumer)
    }

    /// A consumer has ended, or no key stays with it any more.
    func noteEnd(_ consumer: Consumer) {
        if consumer.held.isEmpty { return }
        orphans.append(consumer.held)
        consumer.held = Heap()
    }
}

extension BrokerState {
    /// Gives messages back to the row that were held for a busy consumer which has room now, or for one that ended.
    func wakeHeld(of source: Source) {
        if source.freed.isEmpty && source.orphans.isEmpty { return }
        let freed = source.freed
        source.freed = []
        for consumer in freed {
            consumer.isFreed = false
            if consumer.isEnded { continue }
            guard hasRoom(consumer.session) else {
                consumer.crew.crowded.append(consumer)
                continue
            }
            var room = consumer.hasCredit ? consumer.credit - consumer.unsettled : 0
            while room > 0, let first = consumer.held.removeFirst() {
                if unblock(first) { room -= 1 }
            }
        }
        var left = Self.blockedPerTurn
        while var held = source.orphans.popLast() {
            while left > 0, let first = held.removeFirst() {
                left -= 1
                unblock(first)
            }
            if held.isEmpty { continue }
            source.orphans.append(held)
            unfinished.append(source)
            return
        }
    }

    /// - Returns: False when it is not held any more, or for another reason.
    @discardableResult
    func unblock(_ held: HeldMessage) -> Bool {
        let id = held.place.message
        guard let subscription = subscriptions[held.subscription], subscription.slots[id]?.place == .blocked,
            let key = extras[id]?.orderingKey,
            !subscription.isHeld(key, against: id)
        else { return false }
        move(subscription.id, id, to: .ready)
        return true
    }
}
