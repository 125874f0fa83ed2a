import BrokerProtocol

/// What happened to a message on its way through one subscription; made at the first delivery.
struct SlotHistory: Hashable {
    var attempts: UInt32 = 0
    var deaths: UInt32 = 0
    var redrives: UInt32 = 0
    var lastError: String?
    var deathReason: String?
    var deadAt = WallTime(milliseconds: 0)
}

/// One message inside one subscription. It exists from publish until it is acknowledged or purged.
struct Slot {
    enum Place: Hashable {
        case ready
        case leased(LeaseID)
        case delayed(until: WallTime)
        case dead
    }

    private final class Box {
        var history: SlotHistory
        init(_ history: SlotHistory) { self.history = history }
    }

    var place: Place
    private var box: Box?

    init(place: Place) { self.place = place }

    /// Boxed: nearly all messages are acknowledged at their first delivery.
    var history: SlotHistory {
        get { box?.history ?? SlotHistory() }
        set {
            if let box, newValue != SlotHistory() { box.history = newValue } else { box = Box(newValue) }
        }
    }
}

/// A named reader of a topic, with the state of each message that it still owes a verdict.
struct Subscription {
    let id: SubscriptionID
    let topic: TopicID
    var name: SubscriptionName
    /// Nil: it follows its topic.
    var settings: DeliverySettings?
    private(set) var slots: [MessageID: Slot] = [:]
    var ready = ReadyQueue()
    private(set) var readyCount = 0
    private(set) var leasedCount = 0
    private(set) var delayedCount = 0
    private(set) var deadCount = 0
    var delivered: UInt64 = 0
    var acknowledged: UInt64 = 0
    /// Consumers in the order of their turn.
    var consumers: [ConsumerKey] = []
    var turn = 0
    /// Pops that wait, longest first.
    var waiting: [PopKey] = []
    var isDirty = false

    init(id: SubscriptionID, topic: TopicID, name: SubscriptionName) {
        self.id = id
        self.topic = topic
        self.name = name
    }

    private mutating func count(_ place: Slot.Place, by step: Int) {
        switch place {
        case .ready: readyCount += step
        case .leased: leasedCount += step
        case .delayed: delayedCount += step
        case .dead: deadCount += step
        }
    }

    mutating func add(_ message: MessageID, place: Slot.Place) {
        assert(slots[message] == nil)
        slots[message] = Slot(place: place)
        count(place, by: 1)
    }

    /// - Returns: False when the subscription does not owe this message a verdict.
    @discardableResult
    mutating func remove(_ message: MessageID) -> Bool {
        guard let slot = slots.removeValue(forKey: message) else { return false }
        count(slot.place, by: -1)
        return true
    }

    mutating func move(_ message: MessageID, to place: Slot.Place) {
        guard let old = slots[message]?.place else { return }
        count(old, by: -1)
        slots[message]?.place = place
        count(place, by: 1)
    }

    mutating func amend(_ message: MessageID, _ change: (inout SlotHistory) -> Void) {
        guard var slot = slots[message] else { return }
        var history = slot.history
        change(&history)
        slot.history = history
        slots[message] = slot
    }

    func isReady(_ message: MessageID) -> Bool { slots[message]?.place == .ready }

    /// Dead letters by id, from `first` on.
    func deadLetters(from first: MessageID = MessageID(rawValue: 0), limit: Int = .max) -> [MessageID] {
        guard deadCount > 0 else { return [] }
        let dead = slots.filter { $0.value.place == .dead && $0.key >= first }.map(\.key).sorted()
        return Array(dead.prefix(limit))
    }
}
