import BrokerProtocol

/// An ordering key that a message of a subscription holds: from its first delivery until it is settled for good or
/// dead, also while it waits for its retry. Messages of the key that come to their turn meanwhile are blocked.
struct HeldKey {
    /// Nil: nobody has been given it since it became free, and the first of the key to come to its turn takes it.
    var owner: MessageID?
    /// By priority, then in publish order.
    var waiting = Heap<Waiting>()

    struct Waiting: Comparable {
        let priority: UInt8
        let message: MessageID
        static func < (left: Self, right: Self) -> Bool {
            left.priority == right.priority ? left.message < right.message : left.priority > right.priority
        }
    }
}

extension Subscription {
    func isHeld(_ key: String, against id: MessageID) -> Bool { keys[key]?.owner.map { $0 != id } ?? false }

    /// The message takes the key, if nobody has it.
    func hold(_ key: String, for id: MessageID) {
        if keys[key]?.owner == nil { keys[key, default: HeldKey()].owner = id }
    }

    /// A ready message whose key is held leaves the row until the key is free.
    func block(_ id: MessageID, _ entry: MessageEntry, _ key: String) {
        if !claim(id, entry, as: .blocked) { _ = move(id, to: .blocked, priority: entry.priority) }
        keys[key]?.waiting.insert(HeldKey.Waiting(priority: entry.priority, message: id))
    }

    /// The message gives the key back, if it has it, or if it could have taken it.
    /// - Returns: The blocked message that is ready again; the others stay blocked behind it.
    func free(_ key: String, from id: MessageID) -> MessageID? {
        guard let owner = keys[key].map(\.owner), owner == nil || owner == id else { return nil }
        // In place: there may be very many.
        keys[key]?.owner = nil
        while let next = keys[key]?.waiting.removeFirst()?.message {
            if slots[next]?.place == .blocked { return next }
        }
        keys[key] = nil
        return nil
    }
}
