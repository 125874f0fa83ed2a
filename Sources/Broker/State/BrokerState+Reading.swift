import BrokerProtocol

/// What a subscription still looks at among the messages that are older than it, or that it was done with: in
/// pieces, because there may be very many. Nothing behind `next` is delivered before it was looked at.
struct Reading: Hashable, Sendable {
    /// Where to go on.
    var next: MessageID
    /// The last one.
    let through: MessageID
    /// Until the first message that was published then or later, none counts; nil: every message counts.
    var since: WallTime?

    /// - Parameter start: Nil is answered for `now`: there is nothing to read.
    init?(from start: StartPosition, through: MessageID) {
        self.through = through
        switch start {
        case .beginning: next = MessageID(rawValue: 0)
        case .now: return nil
        case .time(let time):
            next = MessageID(rawValue: 0)
            since = time
        case .message(let first): next = first
        }
    }

    init(next: MessageID, through: MessageID, since: WallTime?) {
        self.next = next
        self.through = through
        self.since = since
    }
}

/// Who waits until readings are done.
final class ReadingTicket {
    enum Answer { case done, count }

    let origin: Origin
    let answer: Answer
    var count: UInt64 = 0
    /// Readings that are not done.
    var left = 0

    init(_ origin: Origin, _ answer: Answer) {
        self.origin = origin
        self.answer = answer
    }

    var response: Response { answer == .done ? .done : .count(count) }
}

/// How much one turn reads; some milliseconds.
struct ReadingAllowance {
    private(set) var looks = 10_000
    private(set) var reads = 500
    private(set) var bytes = 1 << 20
    var isSpent: Bool { looks <= 0 || reads <= 0 || bytes <= 0 }

    mutating func look() { looks -= 1 }
    mutating func read(_ entry: MessageEntry) {
        reads -= 1
        bytes -= Int(entry.bytes)
    }
}

extension BrokerState {
    /// What a subscription is to owe of the next piece.
    /// - Parameter subscription: Nil: it is still to be made, and owes nothing.
    /// - Returns: The ids, and what is left then; nil when the end was reached.
    func nextPiece(
        of reading: Reading, in topic: Topic, for subscription: Subscription?, _ filter: MessageFilter,
        _ allowance: inout ReadingAllowance
    ) throws(BrokerError) -> (ids: [MessageID], rest: Reading?) {
        var rest = reading
        var all = MergedIDs(from: reading.next, through: reading.through)
        addHeld(by: topic, to: &all)
        var ids: [MessageID] = []
        while let id = all.next() {
            if allowance.isSpent {
                rest.next = id
                return (ids, rest)
            }
            allowance.look()
            guard let entry = messages[id] else { continue }
            if let since = rest.since {
                if entry.publishedAt < since { continue }
                rest.since = nil
            }
            if subscription?.owes(id, entry) ?? false { continue }
            if !filter.isEmpty {
                allowance.read(entry)
                if !filter.matches(try message(at: entry.address).headers) { continue }
            }
            ids.append(id)
        }
        return (ids, nil)
    }

    /// Every message that the topic holds, dead letters included; and perhaps some that are gone.
    func addHeld(by topic: Topic, to all: inout MergedIDs) {
        for lane in topic.lanes { all.add(lane: lane.from(lane.start)) }
        all.add(topic.retained.ids)
        for subscription in topic.subscriptions {
            subscription.addSlots(to: &all)
            all.add(subscription.dead)
        }
    }

    /// Goes on with what subscriptions read, oldest reading first.
    func continueReadings() {
        areReadingsStuck = false
        if readings.isEmpty { return }
        var allowance = ReadingAllowance()
        for subscription in readings where !allowance.isSpent {
            guard let reading = subscription.reading else { continue }
            do throws(BrokerError) {
                let (ids, rest) = try nextPiece(
                    of: reading, in: subscription.topic, for: subscription, subscription.filter, &allowance)
                try assign(ids, to: subscription, rest)
            } catch {
                // There is no space for it; a message that cannot be read ends the broker.
                areReadingsStuck = true
                return
            }
        }
    }

    /// Logs one piece; the last one answers who waits for it.
    func assign(_ ids: [MessageID], to subscription: Subscription, _ rest: Reading?) throws(BrokerError) {
        try demandSpace(bytes: Self.assignedBytes(ids.count), owing: ids.count)
        var facts = [Fact.assigned(subscription.id, ids, rest: rest)]
        if rest == nil && !subscription.filter.isEmpty { facts += endOfImplicitDefault(in: subscription.topic) }
        try record(facts)
        for ticket in subscription.tickets { ticket.count += UInt64(ids.count) }
        if rest == nil { answerTickets(of: subscription) }
    }

    /// In the log, at most.
    static func assignedBytes(_ count: Int) -> Int { 128 + 12 * count }

    /// What a filtered subscription has read of an implicit `default` goes on there; nobody asked for the rest.
    func endOfImplicitDefault(in topic: Topic) -> [Fact] {
        topic.subscriptions.filter { $0.origin == .implicit }.map { .subscriptionDeleted($0.id) }
    }

    private func answerTickets(of subscription: Subscription) {
        let tickets = subscription.tickets
        subscription.tickets = []
        for ticket in tickets {
            ticket.left -= 1
            if ticket.left == 0 { respond(ticket.origin, ticket.response) }
        }
    }

    /// The subscription is deleted: nobody needs to wait for it.
    func refuseTickets(of subscription: Subscription, _ error: BrokerError) {
        for ticket in subscription.tickets where ticket.left > 0 {
            ticket.left = 0
            respond(ticket.origin, .refused(error))
        }
        subscription.tickets = []
    }

    /// - Returns: The ticket's answer when there is nothing to wait for.
    func waitForReadings(of subscriptions: [Subscription], _ ticket: ReadingTicket) -> Response? {
        for subscription in subscriptions where subscription.reading != nil {
            ticket.left += 1
            subscription.tickets.append(ticket)
        }
        return ticket.left == 0 ? ticket.response : nil
    }

    // MARK: Facts

    func applyAssigned(_ id: SubscriptionID, _ ids: [MessageID], _ rest: Reading?) {
        guard let subscription = subscriptions[id] else { return }
        for message in ids {
            guard let entry = messages[message], entry.topic == subscription.topic.id,
                !subscription.owes(message, entry)
            else { continue }
            owe(message)
            watchEnd(of: message)
            add(
                message, Slot(place: extras[message]?.deliverAt.map { .delayed(until: $0) } ?? .ready), to: subscription
            )
        }
        if (subscription.reading != nil) != (rest != nil) {
            if rest == nil { readings.removeAll { $0 === subscription } } else { readings.append(subscription) }
        }
        subscription.reading = rest
        markDirty(subscription)
    }

    /// The facts that make a subscription, with the first piece of what it reads.
    func definition(
        of name: String, _ id: SubscriptionID, in topic: Topic, _ start: StartPosition, _ origin: SubscriptionOrigin,
        _ filter: MessageFilter, pattern: SubscriptionID? = nil, _ allowance: inout ReadingAllowance
    ) throws(BrokerError) -> [Fact] {
        let start = first(start, in: topic)
        // Without a filter it begins in the lanes, and reads what is acknowledged.
        let begins = filter.isEmpty ? start : .now
        var facts = [
            pattern.map { .memberDefined(id, topic.id, of: $0, start: begins) }
                ?? Fact.subscriptionDefined(id, topic.id, name: name, start: begins, origin)
        ]
        if filter.isEmpty && topic.retained.ids.isEmpty { return facts }
        if !filter.isEmpty { facts.append(.subscriptionFiltered(id, filter)) }
        var rest: Reading?
        if let reading = Reading(from: start, through: MessageID(rawValue: nextMessage - 1)) {
            let piece = try nextPiece(of: reading, in: topic, for: nil, filter, &allowance)
            try demandSpace(bytes: Self.assignedBytes(piece.ids.count), owing: piece.ids.count)
            rest = piece.rest
            facts.append(.assigned(id, piece.ids, rest: rest))
        }
        return rest == nil && !filter.isEmpty ? facts + endOfImplicitDefault(in: topic) : facts
    }

    // MARK: Requests

    /// Makes a subscription, or finds it with the same filter.
    /// - Returns: Nil when it still reads older messages; the answer comes when it is done.
    /// - Throws: `SUBSCRIPTION_EXISTS` when there is one of that name with another filter.
    func create(
        _ name: SubscriptionName, start: StartPosition, filter: [Header], origin: Origin
    ) throws(BrokerError) -> Response? {
        let filter = MessageFilter(filter)
        try filter.validate(for: name)
        if let existing = subscription(named: name), existing.origin != .implicit, existing.filter != filter {
            throw BrokerError(.subscriptionExists, "\(name) exists with another filter; delete it first")
        }
        if let pattern = patterns[name], pattern.filter != filter {
            throw BrokerError(.subscriptionExists, "\(name) exists with another filter; delete it first")
        }
        let made =
            topicsByName[name.topic] == nil && name.topic.isPattern
            ? try ensurePattern(name, start: start, filter: filter).members
            : [try ensureSubscription(name, start: start, filter: filter)]
        return waitForReadings(of: made, ReadingTicket(origin, .done))
    }
}
