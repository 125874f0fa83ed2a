import BrokerProtocol

/// A subscription's consumers as Redis clients name them. RAM alone: after a restart they come into being again.
final class ConsumerGroup {
    /// By name.
    private(set) var consumers: [GroupConsumer] = []
    /// The youngest entry that was handed out, or where the group was told to begin.
    var lastDelivered: StreamPosition?
    var entriesRead: UInt64 = 0

    func consumer(named name: String) -> GroupConsumer? { consumers.first { $0.name == name } }

    func add(_ consumer: GroupConsumer) {
        let index = consumers.firstIndex { $0.name.utf8.lexicographicallyPrecedes(consumer.name.utf8) == false }
        consumers.insert(consumer, at: index ?? consumers.count)
    }

    func remove(_ consumer: GroupConsumer) { consumers.removeAll { $0 === consumer } }

    func noteDelivered(_ position: StreamPosition) {
        entriesRead += 1
        if lastDelivered.map({ $0.message < position.message }) ?? true { lastDelivered = position }
    }
}

/// A consumer of a group. Its leases belong to a session of its own, which no connection ends.
final class GroupConsumer {
    let name: String
    let session: Session
    /// When a client last used the name, on the monotonic clock.
    var seenAt: Int64

    init(name: String, session: Session, seenAt: Int64) {
        self.name = name
        self.session = session
        self.seenAt = seenAt
    }
}

extension BrokerState {
    func group(of subscription: Subscription) -> ConsumerGroup {
        if let group = subscription.group { return group }
        let group = ConsumerGroup()
        subscription.group = group
        return group
    }

    /// The consumer of this name, made when it is new. When a group has too many, the one that was away the longest
    /// and holds nothing makes room.
    /// - Throws: `CONSUMER_LIMIT` when all of them hold something.
    func consumer(
        _ name: String, of subscription: Subscription, now: Now
    ) throws(BrokerError) -> (consumer: GroupConsumer, isNew: Bool) {
        let group = group(of: subscription)
        if let consumer = group.consumer(named: name) {
            consumer.seenAt = now.monotonic
            return (consumer, false)
        }
        if group.consumers.count >= limits.consumersPerConnectionMax {
            let idle = group.consumers.filter { $0.session.leases.isEmpty }.min { $0.seenAt < $1.seenAt }
            guard let idle else {
                throw BrokerError(
                    .consumerLimit,
                    "\(subscription.name) has \(group.consumers.count) consumers, the limit consumers_max")
            }
            forget(idle, of: group)
        }
        let session = Session(id: SessionID(rawValue: nextGroupSession), name: name)
        nextGroupSession += 1
        sessions[session.id] = session
        let consumer = GroupConsumer(name: name, session: session, seenAt: now.monotonic)
        group.add(consumer)
        return (consumer, true)
    }

    private func forget(_ consumer: GroupConsumer, of group: ConsumerGroup) {
        group.remove(consumer)
        sessions[consumer.session.id] = nil
    }

    /// The deliveries of a group that wait for a verdict, in id order.
    /// - Parameter consumer: Nil: those of all of them.
    func pending(of subscription: Subscription, _ consumer: GroupConsumer? = nil) -> [Lease] {
        let consumers = consumer.map { [$0] } ?? subscription.group?.consumers ?? []
        return consumers.flatMap(\.session.leases).compactMap { leases[$0] }.sorted { $0.message < $1.message }
    }

    /// The lease of a message, when a consumer of the group has it.
    func pendingLease(of id: MessageID, in subscription: Subscription) -> Lease? {
        guard case .leased(let lease)? = subscription.slots[id]?.place, let lease = leases[lease],
            lease.session.isOfGroup
        else { return nil }
        return lease
    }

    /// - Parameter ofGroups: Whether those of groups' consumers count.
    func hasLeases(ofGroups: Bool) -> Bool {
        ofGroups ? !leases.isEmpty : leases.values.contains { !$0.session.isOfGroup }
    }

    private var groupLease: Int64 { limits.groupLeaseMilliseconds > 0 ? limits.groupLeaseMilliseconds : .max }

    /// Hands out up to `count` messages that no consumer of the group has.
    func readGroup(
        _ subscription: Subscription, _ name: String, acknowledges: Bool, count: Int, now: Now
    ) -> [RedisReply] {
        guard let consumer = try? consumer(name, of: subscription, now: now).consumer else { return [] }
        let group = group(of: subscription)
        var entries: [RedisReply] = []
        var bytes = 0
        while entries.count < count, bytes < limits.replyBytesMax,
            acknowledges || consumer.session.leases.count < limits.leasesPerConnectionMax,
            let time = candidate(of: subscription, leases: !acknowledges, now: now)?.entry.publishedAt,
            let notice = take(
                from: subscription, consumer.session, nil, acknowledges: acknowledges, leaseMilliseconds: groupLease,
                now: now)
        {
            group.noteDelivered(StreamPosition(time: messages[notice.id]?.publishedAt ?? time, message: notice.id))
            bytes += Int(notice.bytes)
            entries.append(.entry(notice))
        }
        return entries
    }

    /// Acknowledges what is pending in the group, whoever has it.
    /// - Returns: How many were pending.
    func acknowledge(_ ids: [MessageID], in subscription: Subscription) throws(BrokerError) -> UInt64 {
        let pending = Set(ids).sorted().filter { pendingLease(of: $0, in: subscription) != nil }
        return try recordInPieces(pending) { .acknowledged(subscription.id, $0) }
    }

    /// Shows a consumer again what it has: the deliveries count, and begin anew.
    func history(
        of consumer: GroupConsumer, _ subscription: Subscription, after id: MessageID, count: Int, now: Now
    ) -> [RedisReply] {
        let leases = pending(of: subscription, consumer).filter { $0.message > id }.prefix(count)
        noteAttempts(leases.map(\.message), of: subscription, by: consumer.session)
        for lease in leases { restart(lease, at: now.monotonic, now: now) }
        return leases.compactMap { entryReply($0.message) }
    }

    /// A lease begins anew, at a time that may lie in the past.
    private func restart(_ lease: Lease, at time: Int64, now: Now) {
        leases[lease.id]?.takenAt = time
        if lease.deadline != .max {
            let duration = min(groupLease, lease.subscription.settings.leaseTotalMilliseconds)
            setDeadline(of: lease.id, to: now.monotonic + duration)
        }
    }

    struct Claim {
        var idleMinMilliseconds: Int64 = 0
        /// How long ago the delivery is to have been.
        var idleMilliseconds: Int64 = 0
        var attempts: UInt32?
        /// Whether a message that nobody has may be claimed as well.
        var isForced = false
        /// Whether the delivery stays uncounted.
        var isUncounted = false
    }

    /// Gives a delivery of the group to another consumer.
    /// - Returns: Whether it has it now.
    func claim(
        _ id: MessageID, _ subscription: Subscription, for consumer: GroupConsumer, _ claim: Claim, now: Now
    ) -> Bool {
        let time = now.monotonic - claim.idleMilliseconds
        if let lease = pendingLease(of: id, in: subscription) {
            if now.monotonic - lease.takenAt < claim.idleMinMilliseconds { return false }
            sessions[lease.session]?.leases.remove(lease.id)
            leases[lease.id]?.session = consumer.session.id
            consumer.session.leases.insert(lease.id)
            restart(lease, at: time, now: now)
        } else {
            // An id may be that of another stream's entry.
            guard claim.isForced, let entry = messages[id], entry.topic == subscription.topic.id,
                var notice = notice(of: id), subscription.isFresh(id, entry) || subscription.slots[id]?.place == .ready
            else { return false }
            lease(&notice, subscription, consumer.session, nil, milliseconds: groupLease, now: now)
            leases[notice.lease]?.takenAt = time
        }
        if let attempts = claim.attempts {
            subscription.amend(id) { $0.attempts = attempts }
        } else if !claim.isUncounted {
            noteAttempts([id], of: subscription, by: consumer.session)
        }
        return true
    }

    /// Ends a consumer. What it had is ready again; its attempts count.
    /// - Returns: How many messages that were.
    func removeConsumer(_ consumer: GroupConsumer, of subscription: Subscription, now: Now) throws(BrokerError) -> Int {
        let leases = pending(of: subscription, consumer)
        let readyAt = steady(now)
        try record(
            leases.map { lease in
                .returned(
                    subscription.id, lease.message,
                    Return(
                        readyAt: readyAt, countsAttempt: true, isDeath: false, error: nil, consumer: consumer.name,
                        at: now.wall))
            })
        forget(consumer, of: group(of: subscription))
        advance(now: now)
        return leases.count
    }

    /// The group goes on behind this message: what was not handed out before it is dropped.
    func skip(through id: MessageID, _ subscription: Subscription) throws(BrokerError) {
        try drop(subscription.waiting(through: id), from: subscription)
    }
}
