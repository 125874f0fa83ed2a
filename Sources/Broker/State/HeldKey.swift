import BrokerProtocol

/// An ordering key that a message of a subscription holds: from its first delivery until it is settled for good or
/// dead, also while it waits for its retry. Messages of the key that come to their turn meanwhile are blocked; so they
/// are while the key is parked, waits for a token of its rate, or for the consumer that it belongs to.
struct HeldKey {
    /// Nil: nobody has been given it since it became free, and the first of the key to come to its turn takes it.
    var owner: MessageID?
    /// By priority, then in publish order. An entry is a hint.
    var waiting = Heap<Waiting>()
    /// How many messages are blocked.
    var blockedCount = 0
    /// The dead letters that parked it, in id order; only these may go, when they are redriven.
    var parkedBy: [MessageID] = []
    /// When it gets its next token.
    var tokenAt: Int64?

    struct Waiting: Comparable {
        let priority: UInt8
        let message: MessageID
        static func < (left: Self, right: Self) -> Bool {
            left.priority == right.priority ? left.message < right.message : left.priority > right.priority
        }
    }
}

extension Subscription {
    func isHeld(_ key: String, against id: MessageID) -> Bool {
        guard let held = keys[key] else { return false }
        if let owner = held.owner { return owner != id }
        return !held.parkedBy.isEmpty && !held.parkedBy.contains(id)
    }

    /// The message takes the key, if nobody has it.
    func hold(_ key: String, for id: MessageID) {
        if keys[key]?.owner == nil { keys[key, default: HeldKey()].owner = id }
    }

    /// A ready message whose key is held leaves the row until the key is free.
    func block(_ id: MessageID, _ entry: MessageEntry, _ key: String) {
        if !claim(id, entry, as: .blocked) { _ = move(id, to: .blocked, priority: entry.priority) }
        keys[key, default: HeldKey()].waiting.insert(HeldKey.Waiting(priority: entry.priority, message: id))
        keys[key]?.blockedCount += 1
    }

    /// A message is blocked no more.
    func noteUnblocked(_ key: String) { keys[key]?.blockedCount -= 1 }

    /// The message gives the key back, if it has it, or if it could have taken it.
    /// - Parameter isOver: Whether it parks the key no more; a dead letter does.
    /// - Returns: The blocked message that is ready again; the others stay blocked behind it.
    func free(_ key: String, from id: MessageID, isOver: Bool) -> MessageID? {
        guard let held = keys[key] else { return nil }
        if isOver && !held.parkedBy.isEmpty { unpark(key, from: id) }
        guard held.owner == nil || held.owner == id else { return nil }
        keys[key]?.owner = nil
        return firstBlocked(key)
    }

    /// The blocked message that goes on now that nobody has the key.
    private func firstBlocked(_ key: String) -> MessageID? {
        guard let parkedBy = keys[key]?.parkedBy else { return nil }
        if !parkedBy.isEmpty {
            // Those that were redriven, by priority as everything else.
            for lane in blocked.indices.reversed() {
                if let id = parkedBy.first(where: blocked[lane].contains) { return id }
            }
            return nil
        }
        // In place: there may be very many.
        while let next = keys[key]?.waiting.removeFirst()?.message {
            if slots[next]?.place == .blocked { return next }
        }
        keys[key] = nil
        return nil
    }

    // MARK: Parking

    /// A dead letter parks its key.
    func park(_ key: String, by id: MessageID) {
        let parkedBy = keys[key, default: HeldKey()].parkedBy
        if parkedBy.contains(id) { return }
        if parkedBy.isEmpty { parkedKeyCount += 1 }
        keys[key, default: HeldKey()].parkedBy.insert(id, at: parkedBy.firstIndex { $0 > id } ?? parkedBy.count)
    }

    private func unpark(_ key: String, from id: MessageID) {
        keys[key]?.parkedBy.removeAll { $0 == id }
        if keys[key]?.parkedBy.isEmpty ?? true { parkedKeyCount -= 1 }
    }

    /// The key is parked no more, whatever becomes of its dead letters.
    /// - Returns: The blocked message that is ready again.
    func release(_ key: String) -> MessageID? {
        guard let held = keys[key], !held.parkedBy.isEmpty else { return nil }
        keys[key]?.parkedBy = []
        parkedKeyCount -= 1
        return held.owner == nil ? firstBlocked(key) : nil
    }

    // MARK: The rate of a key

    /// A message of the key was blocked until the key has a token.
    /// - Returns: Whether the time is new.
    func limit(_ key: String, until time: Int64) -> Bool {
        if keys[key]?.tokenAt != nil { return false }
        keys[key]?.tokenAt = time
        pace.limited.insert(Pace.KeyTime(time: time, key: key))
        return true
    }

    /// The key has a token again.
    /// - Returns: The blocked message that is ready again.
    func resume(_ key: String, at time: Int64) -> MessageID? {
        guard let held = keys[key], held.tokenAt == time else { return nil }
        keys[key]?.tokenAt = nil
        guard let owner = held.owner else { return firstBlocked(key) }
        return slots[owner]?.place == .blocked ? owner : nil
    }
}
