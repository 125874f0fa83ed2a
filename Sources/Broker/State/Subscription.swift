import BrokerProtocol

/// A named reader of a topic.
///
/// A message that it owes a verdict is either *fresh* (at or behind the cursor of its lane, costs nothing here) or has a
/// ``Slot``. A slot is made at the first delivery; fresh messages that leave out of turn are remembered in `ahead`
/// until the cursor passes them.
final class Subscription {
    let id: SubscriptionID
    unowned let topic: Topic
    var name: SubscriptionName
    var origin: SubscriptionOrigin
    /// Nil: it follows its topic.
    var ownSettings: DeliverySettings?

    /// Index of the next fresh message, by lane.
    private(set) var cursors: [UInt64]
    private(set) var ahead: Set<MessageID> = []
    private(set) var slots: [MessageID: Slot] = [:]
    private(set) var dead: Set<MessageID> = [] {
        didSet { deadInOrder = nil }
    }
    /// Made for the first page of a listing, kept for the others.
    private var deadInOrder: [MessageID]?
    /// Ready messages that have a slot, by lane. An entry is a hint: the slot says what is true.
    private var returned = [Heap<MessageID>](repeating: Heap(), count: Topic.priorities)

    private(set) var freshCount = 0
    private var readySlotCount = 0
    private(set) var blockedCount = 0
    /// The ordering keys that a message holds.
    var keys: [String: HeldKey] = [:]
    private(set) var leasedCount = 0
    private(set) var delayedCount = 0
    var delivered: UInt64 = 0
    var acknowledged: UInt64 = 0

    /// Consumers in the order of their turn.
    var consumers: [Consumer] = []
    var turn = 0
    /// Pops that wait, longest first.
    var waiting: [WaitingPop] = []
    var isDirty = false
    /// Its consumers as Redis clients name them; nil until one of them comes.
    var group: ConsumerGroup?

    init(id: SubscriptionID, topic: Topic, name: SubscriptionName, origin: SubscriptionOrigin) {
        self.id = id
        self.topic = topic
        self.name = name
        self.origin = origin
        cursors = topic.lanes.map(\.end)
    }

    var settings: DeliverySettings { ownSettings ?? topic.settings.delivery }
    /// What could be delivered at once.
    var readyCount: Int { freshCount + readySlotCount }
    /// Messages without a final verdict, dead letters left out.
    var openCount: Int { readyCount + blockedCount + leasedCount + delayedCount }

    // MARK: Fresh messages

    /// A message was appended to the topic's lane.
    func addFresh() { freshCount += 1 }

    /// Makes all of a lane from `index` on fresh; for a new subscription. `isLive` says which ids still exist.
    func begin(lane: Int, at index: UInt64, isLive: (MessageID) -> Bool) -> [MessageID] {
        cursors[lane] = index
        let ids = topic.lanes[lane].from(index)
        let live = ids.filter(isLive)
        for id in ids where !isLive(id) { ahead.insert(id) }
        freshCount += live.count
        return Array(live)
    }

    func isFresh(_ id: MessageID, _ entry: MessageEntry) -> Bool {
        isUnpassed(id, entry) && slots[id] == nil && !ahead.contains(id)
    }

    private func isUnpassed(_ id: MessageID, _ entry: MessageEntry) -> Bool {
        let lane = Int(entry.priority)
        return entry.isInLane && cursors[lane] < topic.lanes[lane].end && id >= topic.lanes[lane][cursors[lane]]
    }

    func owes(_ id: MessageID, _ entry: MessageEntry) -> Bool { slots[id] != nil || isFresh(id, entry) }

    private func firstFresh(_ lane: Int) -> MessageID? {
        while cursors[lane] < topic.lanes[lane].end {
            let id = topic.lanes[lane][cursors[lane]]
            if slots[id] == nil && !ahead.contains(id) { return id }
            pass(lane)
        }
        return nil
    }

    /// Moves the cursor over one message that is fresh no more.
    private func pass(_ lane: Int) {
        ahead.remove(topic.lanes[lane][cursors[lane]])
        cursors[lane] += 1
        if cursors[lane] % Topic.trimStep == 0 { topic.trim(lane: lane) }
    }

    /// A message that the cursor has not passed is over.
    private func leave(_ id: MessageID, _ lane: Int) {
        ahead.insert(id)
        if topic.lanes[lane][cursors[lane]] == id { pass(lane) }
    }

    private func firstReturned(_ lane: Int) -> MessageID? {
        while let id = returned[lane].first {
            if slots[id]?.place == .ready { return id }
            returned[lane].removeFirst()
        }
        return nil
    }

    /// The message to deliver next: by priority, then in publish order. It stays where it is until ``claim(_:_:)``.
    func next() -> MessageID? {
        if readyCount == 0 { return nil }
        for lane in (0..<Topic.priorities).reversed() {
            switch (firstFresh(lane), firstReturned(lane)) {
            case (nil, nil): continue
            case (let id?, nil), (nil, let id?): return id
            case (let fresh?, let returned?): return min(fresh, returned)
            }
        }
        assert(readyCount == 0, "ready messages that no lane holds")
        return nil
    }

    /// Gives a message that is owed its slot.
    func claim(_ id: MessageID, _ entry: MessageEntry) {
        let lane = Int(entry.priority)
        if isFresh(id, entry) {
            freshCount -= 1
            slots[id] = Slot(place: .ready)
            readySlotCount += 1
            if topic.lanes[lane][cursors[lane]] == id { pass(lane) }
        } else if returned[lane].first == id {
            returned[lane].removeFirst()
        }
    }

    /// After replay: what was handed out when the broker ended is ready again.
    func returnClaimed(priority: (MessageID) -> UInt8) {
        for lane in returned.indices { returned[lane] = Heap() }
        for (id, slot) in slots where slot.place == .ready { returned[Int(priority(id))].insert(id) }
    }

    // MARK: Slots

    /// A message that enters with a slot: delayed, or found again behind younger ones.
    func add(_ id: MessageID, _ slot: Slot, priority: UInt8) {
        assert(slots[id] == nil)
        slots[id] = slot
        count(slot.place, id, by: 1)
        if slot.place == .ready { returned[Int(priority)].insert(id) }
    }

    private func count(_ place: Slot.Place, _ id: MessageID, by step: Int) {
        switch place {
        case .ready: readySlotCount += step
        case .leased: leasedCount += step
        case .delayed: delayedCount += step
        case .blocked: blockedCount += step
        case .dead: if step > 0 { dead.insert(id) } else { dead.remove(id) }
        }
    }

    /// - Returns: False when the subscription does not owe this message a verdict.
    func remove(_ id: MessageID, _ entry: MessageEntry) -> Bool {
        if let slot = slots.removeValue(forKey: id) {
            count(slot.place, id, by: -1)
            if isUnpassed(id, entry) { leave(id, Int(entry.priority)) }
            return true
        }
        guard isFresh(id, entry) else { return false }
        freshCount -= 1
        leave(id, Int(entry.priority))
        return true
    }

    func move(_ id: MessageID, to place: Slot.Place, priority: UInt8) {
        guard let old = slots[id]?.place else { return }
        count(old, id, by: -1)
        slots[id]?.place = place
        count(place, id, by: 1)
        if place == .ready { returned[Int(priority)].insert(id) }
    }

    func amend(_ id: MessageID, _ change: (inout Slot) -> Void) {
        if slots[id] != nil { change(&slots[id]!) }
    }

    /// Dead letters by id, from `first` on.
    func deadLetters(from first: MessageID = MessageID(rawValue: 0), limit: Int = .max) -> [MessageID] {
        let ids = deadInOrder ?? dead.sorted()
        deadInOrder = ids
        var index = 0
        var end = ids.count
        while index < end {
            let middle = (index + end) / 2
            if ids[middle] < first { index = middle + 1 } else { end = middle }
        }
        return Array(ids[index...].prefix(limit))
    }

    /// Every message that it owes a verdict, in id order.
    func owed() -> [MessageID] {
        var ids = Array(slots.keys)
        for lane in 0..<Topic.priorities {
            ids += topic.lanes[lane].from(cursors[lane]).filter { slots[$0] == nil && !ahead.contains($0) }
        }
        return ids.sorted()
    }
}
