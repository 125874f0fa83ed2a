/// Who stands in a ``TurnQueue``, and knows its place there.
protocol TurnTaker: AnyObject {
    /// Index in its queue; negative outside.
    var place: Int { get set }
    /// Whether it is served before another one.
    func precedes(_ other: Self) -> Bool
}

/// Who is next. A change of one member's rank costs O(log of the number of members).
struct TurnQueue<Member: TurnTaker> {
    private var members: [Member] = []

    var first: Member? { members.first }

    /// Call after each change of what decides about a member's rank.
    mutating func update(_ member: Member, isIn: Bool) {
        if !isIn { return remove(member) }
        if member.place < 0 {
            member.place = members.count
            members.append(member)
        }
        settle(member.place)
    }

    mutating func remove(_ member: Member) {
        let place = member.place
        if place < 0 { return }
        let last = members.removeLast()
        member.place = -1
        if last === member { return }
        put(last, at: place)
        settle(place)
    }

    private mutating func put(_ member: Member, at place: Int) {
        members[place] = member
        member.place = place
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        let member = members[left]
        put(members[right], at: left)
        put(member, at: right)
    }

    private mutating func settle(_ start: Int) {
        var place = start
        while place > 0, members[place].precedes(members[(place - 1) / 2]) {
            exchange(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
        while true {
            let left = 2 * place + 1
            if left >= members.count { return }
            let right = left + 1
            let next = right < members.count && members[right].precedes(members[left]) ? right : left
            if !members[next].precedes(members[place]) { return }
            exchange(place, next)
            place = next
        }
    }
}

/// The consumers of one session on one source. They share the session's room for leases, so together they are in
/// or out of the turn.
final class Crew: TurnTaker {
    unowned let session: Session
    unowned let source: Source
    /// Those with free credit.
    fileprivate(set) var queue = TurnQueue<Consumer>()
    fileprivate(set) var count = 0
    /// Consumers for whose ordering keys messages are held, since the session has no room.
    var crowded: [Consumer] = []
    var place = -1

    init(session: Session, source: Source) {
        self.session = session
        self.source = source
    }

    func precedes(_ other: Crew) -> Bool {
        guard let mine = queue.first else { return false }
        return other.queue.first.map(mine.precedes) ?? true
    }
}

extension Consumer: TurnTaker {
    /// The fewest unsettled deliveries by weight, then the longest time without one.
    func precedes(_ other: Consumer) -> Bool {
        let (mine, others) = (UInt64(unsettled) * UInt64(other.weight), UInt64(other.unsettled) * UInt64(weight))
        return mine == others ? servedAt < other.servedAt : mine < others
    }
}

extension Source {
    func add(_ consumer: Consumer) {
        consumers.append(consumer)
        consumer.crew.count += 1
        noteServed(consumer)
    }

    func remove(_ consumer: Consumer) {
        consumers.removeAll { $0 === consumer }
        consumer.isEnded = true
        noteEnd(consumer)
        consumer.crew.count -= 1
        updateTurn(of: consumer)
        if consumer.crew.count == 0 { consumer.session.crews.removeAll { $0 === consumer.crew } }
    }

    /// The source is gone.
    func endConsumers() {
        for consumer in consumers {
            consumer.isEnded = true
            consumer.crew.count = 0
            consumer.session.crews.removeAll { $0 === consumer.crew }
        }
        consumers = []
        crews = TurnQueue()
    }

    /// Its credit, or what it holds, is another one.
    func updateTurn(of consumer: Consumer) {
        consumer.crew.queue.update(consumer, isIn: consumer.hasCredit && !consumer.isEnded)
        crews.update(consumer.crew, isIn: consumer.crew.queue.first != nil)
    }

    /// It goes behind the others that hold as much.
    func noteServed(_ consumer: Consumer) {
        servings += 1
        consumer.servedAt = servings
        updateTurn(of: consumer)
    }
}

extension BrokerState {
    func hasRoom(_ session: Session) -> Bool { session.holdCount < limits.leasesPerConnectionMax }

    /// Who is served next; nil when nobody has both credit and room.
    func firstConsumer(of source: Source) -> Consumer? {
        while let crew = source.crews.first {
            if hasRoom(crew.session) { return crew.queue.first }
            // Until ``rejoin(_:)``.
            source.crews.remove(crew)
        }
        return nil
    }

    /// The session has room for leases again: all that its consumers read may go on.
    func rejoin(_ session: Session) {
        for crew in session.crews {
            crew.source.crews.update(crew, isIn: crew.queue.first != nil)
            for consumer in crew.crowded { crew.source.noteFree(consumer) }
            crew.crowded = []
            crew.source.markDirty(in: self)
        }
    }
}
