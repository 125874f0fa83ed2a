import BrokerProtocol

/// A subscription of every topic whose name matches. In each of them it has a member, a subscription with messages,
/// leases and dead letters of its own; who reads the pattern gets what any member has.
final class Pattern: Source {
    /// Counted with those of the subscriptions.
    let id: SubscriptionID
    /// Of all members.
    var filter = MessageFilter.all
    /// Nil: each member follows its topic.
    var ownSettings: DeliverySettings?
    var ownPause: Pause?
    /// In the order of creation.
    private(set) var members: [Subscription] = []
    /// Members that may have something, the one that was served longest ago first.
    private var turn = SlidingArray<Subscription>()

    init(id: SubscriptionID, name: SubscriptionName) {
        self.id = id
        super.init(name: name)
    }

    func add(_ member: Subscription) {
        members.append(member)
        member.pattern = self
    }

    func remove(_ member: Subscription) {
        members.removeAll { $0 === member }
        member.pattern = nil
    }

    /// A member may have something to hand out.
    func note(_ member: Subscription) {
        if member.isInTurn { return }
        member.isInTurn = true
        turn.append(member)
    }

    override func markDirty(in state: BrokerState) { state.patterns.markDirty(self) }

    /// A member that has nothing, or is none any more, leaves the turn until ``note(_:)``.
    override func takeInTurn(_ take: (Subscription) -> Notice?) -> Notice? {
        for _ in 0..<turn.count {
            let member = turn[turn.start]
            turn.drop(before: turn.start + 1)
            member.isInTurn = false
            // One that is deleted may stand here still; its topic may be gone.
            guard member.pattern === self, let notice = take(member) else { continue }
            note(member)
            return notice
        }
        return nil
    }
}

/// All patterns, in the order of creation.
struct PatternTable {
    private(set) var all: [Pattern] = []
    private var byName: [SubscriptionName: Pattern] = [:]
    private var byID: [SubscriptionID: Pattern] = [:]
    private var dirty: [Pattern] = []

    subscript(name: SubscriptionName) -> Pattern? { byName.isEmpty ? nil : byName[name] }
    subscript(id: SubscriptionID) -> Pattern? { byID.isEmpty ? nil : byID[id] }

    mutating func add(_ pattern: Pattern) {
        all.append(pattern)
        byName[pattern.name] = pattern
        byID[pattern.id] = pattern
    }

    mutating func remove(_ pattern: Pattern) {
        all.removeAll { $0 === pattern }
        byName[pattern.name] = nil
        byID[pattern.id] = nil
    }

    /// What a topic that all of them match adds to the log with its members, at most.
    var memberBytes: Int { all.reduce(0) { $0 + 64 + $1.filter.bytes } }

    /// Those that a new topic gives a member.
    func matching(_ topic: TopicName) -> [Pattern] { all.filter { $0.name.topic.matches(topic) } }

    mutating func markDirty(_ pattern: Pattern) {
        if pattern.isDirty { return }
        pattern.isDirty = true
        dirty.append(pattern)
    }

    /// Those that may have something to hand out; they are not dirty any more.
    mutating func takeDirty() -> [Pattern] {
        let taken = dirty
        dirty = []
        for pattern in taken { pattern.isDirty = false }
        return taken
    }

    var isAnyDirty: Bool { !dirty.isEmpty }
}
