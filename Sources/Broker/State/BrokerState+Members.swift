import BrokerProtocol

/// What is done to all members of a pattern, or comes from whichever has it.
extension BrokerState {
    // MARK: Delivery

    /// One delivery to a consumer, to be logged with others.
    struct Attempt {
        let subscription: Subscription
        let session: Session
        let message: MessageID
    }

    /// Takes the next message for a pop.
    func take(from source: Source, _ session: Session, acknowledges: Bool, now: Now) -> Notice? {
        source.takeInTurn { take(from: $0, session, nil, acknowledges: acknowledges, now: now) }
    }

    /// Waiting pops first, then the consumers in turn; of the members one message each, in turn.
    func dispatch(_ pattern: Pattern, now: Now) {
        serveWaiting(of: pattern, now: now)
        wakeHeld(of: pattern)
        var attempts: [Attempt] = []
        while firstConsumer(of: pattern) != nil {
            let notice = pattern.takeInTurn { member in
                guard let consumer = nextConsumer(of: member, from: pattern, now: now),
                    let notice = take(from: member, consumer.session, consumer, acknowledges: false, now: now)
                else { return nil }
                attempts.append(Attempt(subscription: member, session: consumer.session, message: notice.id))
                emit(.deliver(consumer.session.id, notice))
                return notice
            }
            if notice == nil { break }
            if attempts.count == Self.messagesPerFact {
                noteAttempts(attempts)
                attempts = []
            }
        }
        noteAttempts(attempts)
    }

    /// Logs attempts, those of one subscription and session together.
    func noteAttempts(_ attempts: [Attempt]) {
        let sorted = attempts.sorted {
            ($0.subscription.id, $0.session.id, $0.message) < ($1.subscription.id, $1.session.id, $1.message)
        }
        var start = 0
        while start < sorted.count {
            let first = sorted[start]
            let end =
                sorted[start...].firstIndex {
                    $0.subscription !== first.subscription || (clock.isRunning && $0.session !== first.session)
                } ?? sorted.count
            let ids = sorted[start..<end].map(\.message).sorted()
            noteAttempts(ids, of: first.subscription, by: first.session)
            start = end
        }
    }

    // MARK: Requests

    /// The subscription of this name, or the members of the pattern.
    func members(of name: SubscriptionName) throws(BrokerError) -> [Subscription] {
        if let pattern = patterns[name] { return pattern.members }
        return [try existing(name)]
    }

    /// What settings and pauses are kept for.
    func owner(named name: SubscriptionName) throws(BrokerError) -> (id: SubscriptionID, settings: DeliverySettings?) {
        if let pattern = patterns[name] { return (pattern.id, pattern.ownSettings) }
        let subscription = try existing(name)
        return (subscription.id, subscription.ownSettings)
    }

    /// - Throws: `UNSUPPORTED` for a member, which lives as long as its pattern and its topic.
    func demandNoMember(_ subscription: Subscription) throws(BrokerError) {
        guard let pattern = subscription.pattern else { return }
        throw BrokerError(
            .unsupported, "\(subscription.name) is a member of \(pattern.name) and goes with it; delete that one")
    }

    /// Each member owes again what its topic holds from `start` on and it does not owe now. One record begins it, and
    /// the turns go on with it.
    /// - Returns: Nil: the count comes when all is read.
    func rewind(
        _ pattern: Pattern, to start: StartPosition, origin: Origin
    ) throws(BrokerError) -> Response? {
        for member in pattern.members where member.reading != nil {
            throw BrokerError(.unsupported, "\(member.name) still reads older messages; rewind when that is done")
        }
        guard let reading = Reading(from: start, through: MessageID(rawValue: nextMessage - 1)) else {
            return .count(0)
        }
        let facts = pattern.members.map { Fact.assigned($0.id, [], rest: reading) }
        try demandSpace(bytes: Self.assignedBytes(0) * facts.count)
        try record(facts)
        return waitForReadings(of: pattern.members, ReadingTicket(origin, .count))
    }

    // MARK: Numbers

    /// The patterns as topics whose subscriptions they are, with the sums of their members.
    func patternStatuses() -> [TopicStatus] {
        let names = Set(patterns.all.map(\.name.topic)).sorted()
        return names.map { name in
            var status = TopicStatus(name: name, settings: limits.defaults)
            status.subscriptions = patterns.all.filter { $0.name.topic == name }.map { self.status(of: $0) }
            return status
        }
    }

    private func status(of pattern: Pattern) -> SubscriptionStatus {
        var sum = SubscriptionStatus(name: pattern.name)
        sum.settings = pattern.ownSettings
        sum.filter = pattern.filter.pairs
        sum.consumers = UInt32(pattern.consumers.count)
        for member in pattern.members {
            let status = self.status(of: member)
            sum.ready += status.ready
            sum.delayed += status.delayed
            sum.leased += status.leased
            sum.dead += status.dead
            sum.delivered += status.delivered
            sum.acknowledged += status.acknowledged
        }
        sum.figures += pauseFigures(of: pattern.ownPause)
        sum.figures.add("members", UInt64(pattern.members.count))
        return sum
    }
}
