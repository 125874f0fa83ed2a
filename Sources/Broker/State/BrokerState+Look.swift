import BrokerProtocol

/// A message on a page of a browse, before it is read from the log.
struct BrowseNotice: Hashable, Sendable {
    let notice: Notice
    let state: MessageState
    var readyAt: WallTime?
    var holder: String?
    var leaseMilliseconds: Int64?
}

struct BrowseNotices: Hashable, Sendable {
    var notices: [BrowseNotice] = []
    var next: MessageID?
    var wantsBodies = false
    /// Messages that were looked at.
    var looked = 0
}

extension BrokerState {
    private static let pageMessagesMax = 1_000
    private static let pageBytesMax = 4 << 20

    /// Looks at a subscription's messages by id. A page ends when it is full, or when it has taken a turn's time.
    func browse(_ subscription: Subscription, _ query: BrowseQuery, now: Now) throws(BrokerError) -> BrowseNotices {
        var page = BrowseNotices(wantsBodies: query.wantsBodies)
        let limit = min(Int(query.limit), Self.pageMessagesMax)
        var budget = TurnBudget()
        var bytes = 0
        var ids = subscription.messages(in: query.states, from: query.from)
        while let id = ids.next() {
            if page.notices.count >= limit || budget.isSpent || bytes >= Self.pageBytesMax {
                page.next = id
                break
            }
            budget.look()
            page.looked += 1
            guard let entry = messages[id], let found = look(at: id, entry, subscription, query, now: now) else {
                continue
            }
            if !query.headers.isEmpty {
                budget.read(bytes: entry.bytes)
                guard try message(at: entry.address).headers.hold(query.headers) else { continue }
            }
            bytes += Int(entry.bytes)
            page.notices.append(found)
        }
        return page
    }

    /// - Returns: Nil when something of the query, headers aside, does not hold.
    private func look(
        at id: MessageID, _ entry: MessageEntry, _ subscription: Subscription, _ query: BrowseQuery, now: Now
    ) -> BrowseNotice? {
        let slot = subscription.slots[id]
        if slot == nil && !subscription.isFresh(id, entry) { return nil }
        let state = state(of: id, slot, subscription)
        if !query.states.isEmpty && !query.states.contains(state) { return nil }
        if let priority = query.priority, priority != entry.priority { return nil }
        if let from = query.publishedFrom, entry.publishedAt < from { return nil }
        if let before = query.publishedBefore, entry.publishedAt >= before { return nil }
        if let key = query.orderingKey, extras[id]?.orderingKey != key { return nil }
        if let part = query.errorContains, !(slot?.lastError).holds(part), !(slot?.grave?.text).holds(part) {
            return nil
        }
        let notice = Notice(
            id: id, subscription: subscription.name, attempt: slot?.attempts ?? 0, deliveries: slot?.deliveries ?? 0,
            redrives: UInt32(slot?.redrives ?? 0), lastError: slot?.lastError, grave: slot?.grave,
            address: entry.address, bytes: entry.bytes)
        var found = BrowseNotice(notice: notice, state: state)
        switch slot?.place {
        case .delayed(let until):
            // Backoffs go by a clock without jumps; people read the wall clock.
            let shift = extras[id]?.deliverAt == until ? 0 : now.wall.milliseconds - steady(now).milliseconds
            found.readyAt = until.adding(milliseconds: shift)
        case .leased(let lease):
            guard let lease = leases[lease] else { break }
            found.holder = consumer(of: lease)
            if lease.deadline != .max { found.leaseMilliseconds = max(lease.deadline - now.monotonic, 0) }
        case nil, .ready, .blocked, .dead: break
        }
        return found
    }

    /// A message whose key is not free is held also before it comes to its turn, which is when it is blocked.
    private func state(of id: MessageID, _ slot: Slot?, _ subscription: Subscription) -> MessageState {
        let state = slot?.place.state ?? .ready
        guard state == .ready || state == .held, !subscription.keys.isEmpty, let key = extras[id]?.orderingKey,
            let held = subscription.keys[key]
        else { return state }
        if !held.parkedBy.isEmpty && !held.parkedBy.contains(id) { return .parked }
        return subscription.isHeld(key, against: id) ? .held : state
    }

    /// Takes messages from a subscription for good; a leased one is its consumer's.
    /// - Throws: When nothing was taken: `BATCH_TOO_LARGE`, or the log is full.
    func delete(_ ids: [MessageID], from subscription: Subscription) throws(BrokerError) -> [BrokerError?] {
        if ids.count > Self.messagesPerFact {
            throw BrokerError(.batchTooLarge, "a delete names at most \(Self.messagesPerFact) messages")
        }
        var gone: Set<MessageID> = []
        var results: [BrokerError?] = []
        var chosen: [MessageID] = []
        for id in ids {
            guard let entry = messages[id], entry.topic == subscription.topic.id, subscription.owes(id, entry),
                gone.insert(id).inserted
            else {
                results.append(BrokerError(.messageUnknown, "\(subscription.name) has no message \(id)"))
                continue
            }
            if case .leased? = subscription.slots[id]?.place {
                gone.remove(id)
                results.append(
                    BrokerError(.messageLeased, "message \(id) of \(subscription.name) is leased; settle it, or wait"))
            } else {
                chosen.append(id)
                results.append(nil)
            }
        }
        if !chosen.isEmpty { try record([.purged(subscription.id, chosen)]) }
        return results
    }
}

extension Slot.Place {
    var state: MessageState {
        switch self {
        case .ready: .ready
        case .leased: .leased
        case .delayed: .delayed
        case .dead: .dead
        case .blocked: .held
        }
    }
}

extension Subscription {
    /// Messages in these states (empty: all) by id, and maybe some that have left their lane.
    func messages(in states: Set<MessageState>, from first: MessageID) -> MergedIDs {
        var all = MergedIDs(from: first)
        func wants(_ wanted: MessageState...) -> Bool { states.isEmpty || !states.isDisjoint(with: wanted) }
        // With a key that is not free, what waits for its turn may be held.
        let isReadyWanted = wants(.ready) || !keys.isEmpty && wants(.held, .parked)
        for lane in 0..<Topic.priorities {
            if isReadyWanted {
                all.add(lane: topic.lanes[lane].from(cursors[lane]))
                all.add(returned[lane])
            }
            if wants(.held, .parked) { all.add(blocked[lane]) }
        }
        if wants(.delayed) { all.add(delayed) }
        if wants(.leased) { all.add(leased) }
        if wants(.dead) { all.add(dead) }
        return all
    }
}
