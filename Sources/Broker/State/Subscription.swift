import BrokerProtocol

/// A named reader of a topic.
///
/// A message that it owes a verdict is either *fresh* (at or behind the cursor of its lane, costs nothing here) or has
/// a ``Slot``, made at the first delivery at the latest. What leaves a lane out of turn is remembered in `ahead` until
/// the cursor passes it. Each slot's id stands in the one ordered set of its place.
final class Subscription: Source {
    let id: SubscriptionID
    unowned let topic: Topic
    /// The one that it is a member of.
    unowned var pattern: Pattern?
    /// Whether it stands in its pattern's turn.
    var isInTurn = false
    var origin: SubscriptionOrigin
    /// Nil: it follows its topic.
    var ownSettings: DeliverySettings?
    /// Which messages it gets; never changes once it is there.
    var filter = MessageFilter.all
    /// What it still looks at among older messages.
    var reading: Reading?
    var tickets: [ReadingTicket] = []
    /// Its topic may be paused beside.
    var ownPause: Pause?
    /// What ``settings`` say; set by ``BrokerState/follow(_:)``.
    var rules: DispatchRules

    /// Whether each message gets its slot when it is published, so that its lane has no say in the order.
    private(set) var isQueued = false
    /// Index of the next fresh message, by lane; that message is fresh, or the lane ends there.
    private(set) var cursors: [UInt64]
    /// What a lane holds behind the cursor and is not fresh any more.
    private(set) var ahead = [OrderedIDs](repeating: OrderedIDs(), count: Topic.priorities)
    private(set) var slots: NumberMap<MessageID, Slot> = [:]
    /// Ready messages that have a slot, by lane.
    private(set) var returned = [OrderedIDs](repeating: OrderedIDs(), count: Topic.priorities)
    /// Which of them hold something, a bit for each.
    private(set) var returnedLanes: UInt16 = 0
    /// By lane.
    private(set) var blocked = [OrderedIDs](repeating: OrderedIDs(), count: Topic.priorities)
    private(set) var leased = OrderedIDs()
    private(set) var delayed = OrderedIDs()
    private(set) var dead = OrderedIDs()

    private(set) var freshCount = 0
    private var readySlotCount = 0
    private(set) var blockedCount = 0
    /// The ordering keys that a message holds, and those that wait for something else.
    var keys: [String: HeldKey] = [:]
    var parkedKeyCount = 0
    /// Whether the broker counts it among those that park keys.
    var isCountedAsParking = false
    var delivered: UInt64 = 0
    var acknowledged: UInt64 = 0
    /// Messages whose time was over, since the start.
    var expired: UInt64 = 0

    /// What ageing has made of the choice of the next message.
    var ageing = Ageing()
    var pace = Pace()
    /// Nil unless `sticky` is on.
    var sticky: StickyKeys?
    /// Nil unless `fair_header` is set.
    var fair: FairRow?
    /// It has more dead letters than its `dead_max`, and that was told.
    var isAlarmed = false
    /// Its consumers as Redis clients name them; nil until one of them comes.
    var group: ConsumerGroup?

    init(id: SubscriptionID, topic: Topic, name: SubscriptionName, origin: SubscriptionOrigin) {
        self.id = id
        self.topic = topic
        self.origin = origin
        cursors = topic.lanes.map(\.end)
        rules = DispatchRules(topic.settings.delivery)
        super.init(name: name)
    }

    var settings: DeliverySettings { ownSettings ?? pattern?.ownSettings ?? topic.settings.delivery }

    override func markDirty(in state: BrokerState) { state.markDirty(self) }
    override func takeInTurn(_ take: (Subscription) -> Notice?) -> Notice? { take(self) }

    var leasedCount: Int { leased.count }
    var delayedCount: Int { delayed.count }
    /// What could be delivered at once.
    var readyCount: Int { freshCount + readySlotCount }
    /// Messages without a final verdict, dead letters left out.
    var openCount: Int { readyCount + blockedCount + leasedCount + delayedCount }

    // MARK: Fresh messages

    /// A message was appended to the topic's lane.
    func addFresh() { freshCount += 1 }

    /// A message was appended to the topic's lane for others; here it has a slot.
    func passLast(lane: Int) { cursors[lane] = topic.lanes[lane].end }

    /// Makes all of a lane from `index` on fresh; for a new subscription. `isLive` says which ids still exist.
    func begin(lane: Int, at index: UInt64, isLive: (MessageID) -> Bool) -> [MessageID] {
        cursors[lane] = index
        var live: [MessageID] = []
        for id in topic.lanes[lane].from(index) {
            if isLive(id) {
                live.append(id)
            } else if live.isEmpty {
                cursors[lane] += 1
            } else {
                ahead[lane].insert(id)
            }
        }
        freshCount += live.count
        return live
    }

    func isFresh(_ id: MessageID, _ entry: MessageEntry) -> Bool {
        let lane = Int(entry.priority)
        guard entry.isInLane, let first = firstFresh(lane), id >= first else { return false }
        return id == first || !ahead[lane].contains(id)
    }

    func owes(_ id: MessageID, _ entry: MessageEntry) -> Bool { isFresh(id, entry) || slots[id] != nil }

    func firstFresh(_ lane: Int) -> MessageID? {
        topic.lanes[lane].element(at: cursors[lane])
    }

    func freshCount(lane: Int) -> Int { Int(topic.lanes[lane].end - cursors[lane]) - ahead[lane].count }

    /// A message is fresh no more. The cursor moves over it, and over those that left before their turn.
    private func leave(_ id: MessageID, _ lane: Int, isFirst: Bool) {
        if !isFirst {
            ahead[lane].insert(id)
            return
        }
        repeat {
            let cursor = cursors[lane] + 1
            cursors[lane] = cursor
            if cursor % Topic.trimStep == 0 { topic.trim(lane: lane) }
        } while !ahead[lane].isEmpty && firstFresh(lane).map { ahead[lane].remove($0) } ?? false
    }

    /// Gives a fresh message its slot, in this place.
    /// - Returns: False when it was not fresh; nothing changed then.
    @discardableResult
    func claim(_ id: MessageID, _ entry: MessageEntry, as place: Slot.Place = .ready) -> Bool {
        let lane = Int(entry.priority)
        guard entry.isInLane, let first = firstFresh(lane), id >= first, id == first || !ahead[lane].contains(id) else {
            return false
        }
        freshCount -= 1
        leave(id, lane, isFirst: id == first)
        slots[id] = Slot(place: place)
        enter(place, id, lane)
        return true
    }

    // MARK: Two ways in

    /// From here on each message gets its slot when it is published; the fresh ones get theirs now.
    func becomeQueued() {
        isQueued = true
        for lane in 0..<Topic.priorities {
            for id in topic.lanes[lane].from(cursors[lane]) where !ahead[lane].contains(id) {
                slots[id] = Slot(place: .ready)
                enter(.ready, id, lane)
            }
            ahead[lane] = OrderedIDs()
            cursors[lane] = topic.lanes[lane].end
        }
        freshCount = 0
        topic.trim()
    }

    /// From here on it follows the lanes again; what has a slot keeps it.
    func becomeLane() {
        isQueued = false
        for lane in 0..<Topic.priorities { assert(cursors[lane] == topic.lanes[lane].end) }
    }

    // MARK: Slots

    /// A message that enters with a slot: delayed, queued, or found again behind younger ones.
    func add(_ id: MessageID, _ slot: Slot, priority: UInt8) {
        assert(slots[id] == nil)
        slots[id] = slot
        enter(slot.place, id, Int(priority))
    }

    private func enter(_ place: Slot.Place, _ id: MessageID, _ lane: Int) {
        switch place {
        case .ready:
            readySlotCount += 1
            returned[lane].insert(id)
            returnedLanes |= 1 << UInt16(lane)
            fair?.enter(id, lane)
        case .leased: leased.insert(id)
        case .delayed: delayed.insert(id)
        case .blocked:
            blockedCount += 1
            blocked[lane].insert(id)
        case .dead: dead.insert(id)
        }
    }

    private func exit(_ place: Slot.Place, _ id: MessageID, _ lane: Int) {
        switch place {
        case .ready:
            readySlotCount -= 1
            returned[lane].remove(id)
            if returned[lane].isEmpty { returnedLanes &= ~(1 << UInt16(lane)) }
            fair?.exit(id, lane)
        case .leased: leased.remove(id)
        case .delayed: delayed.remove(id)
        case .blocked:
            blockedCount -= 1
            blocked[lane].remove(id)
        case .dead: dead.remove(id)
        }
    }

    /// What a message was to a subscription that owes it no more.
    enum Removal {
        case fresh
        case slot(Slot.Place)
    }

    /// - Returns: Nil when the subscription does not owe this message a verdict.
    func remove(_ id: MessageID, _ entry: MessageEntry) -> Removal? {
        let lane = Int(entry.priority)
        if let slot = slots.removeValue(forKey: id) {
            exit(slot.place, id, lane)
            fair?.forget(id)
            return .slot(slot.place)
        }
        guard isFresh(id, entry) else { return nil }
        freshCount -= 1
        leave(id, lane, isFirst: id == firstFresh(lane))
        return .fresh
    }

    /// - Returns: Where it was; nil when it has no slot.
    func move(_ id: MessageID, to place: Slot.Place, priority: UInt8) -> Slot.Place? {
        let before = slots.change(id) { (slot) in
            defer { slot.place = place }
            return slot.place
        }
        guard let old = before else { return nil }
        exit(old, id, Int(priority))
        enter(place, id, Int(priority))
        return old
    }

    func amend(_ id: MessageID, _ change: (inout Slot) -> Void) {
        _ = slots.change(id, change)
    }
}
