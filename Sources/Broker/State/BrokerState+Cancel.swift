import BrokerProtocol

/// Messages that are taken back or get another time, while nobody holds them.
extension BrokerState {
    /// Removes messages from every subscription that still has to deliver them, in one record; dead letters stay.
    /// - Returns: One entry per id; nil when it is gone.
    func cancel(_ ids: [MessageID]) throws(BrokerError) -> [BrokerError?] {
        try demandCount(ids)
        var taken: [MessageID] = []
        var seen: Set<MessageID> = []
        let results = ids.map { id -> BrokerError? in
            if let refusal = refusal(of: id) { return refusal }
            if !seen.insert(id).inserted { return unknown(id) }
            taken.append(id)
            return nil
        }
        if taken.isEmpty { return results }
        do throws(BrokerError) {
            try record([.cancelled(taken.sorted())])
            return results
        } catch {
            return results.map { $0 ?? error }
        }
    }

    /// Gives messages another deliver-at, in one record. A time that has passed means now.
    /// - Returns: One entry per id; nil when it is done.
    func reschedule(_ ids: [MessageID], at time: WallTime, now: Now) throws(BrokerError) -> [BrokerError?] {
        try demandCount(ids)
        let deliverAt = max(time, now.wall)
        var facts: [Fact] = []
        var delayed = 0
        let results = ids.map { id -> BrokerError? in
            if let refusal = refusal(of: id) { return refusal }
            let added = time > now.wall ? undelayedCount(id) : 0
            if added > 0 && delayedCount + delayed + added > limits.delayedMax {
                return BrokerError(
                    .delayedLimit, "\(limits.delayedMax) messages are delayed, the limit delayed_max")
            }
            if !leavesRoomForAcks((facts.count + 1) * Self.settleBytes) {
                return BrokerError(.diskFull, "the disk is full and what is left is for acks")
            }
            delayed += added
            facts.append(.rescheduled(id, deliverAt: deliverAt))
            return nil
        }
        do throws(BrokerError) {
            try record(facts)
        } catch {
            return results.map { $0 ?? error }
        }
        if deliverAt == now.wall { wakeDelayed(now: now) }
        return results
    }

    private func demandCount(_ ids: [MessageID]) throws(BrokerError) {
        if ids.count > Self.messagesPerFact {
            throw BrokerError(
                .batchTooLarge, "\(ids.count) message ids; a request names \(Self.messagesPerFact) at most")
        }
    }

    /// Why nothing can be done to a message; nil when somebody has to deliver it and nobody holds it.
    private func refusal(of id: MessageID) -> BrokerError? {
        guard let entry = messages[id], let topic = topics[entry.topic] else { return unknown(id) }
        var isOpen = false
        for subscription in topic.subscriptions {
            switch subscription.slots[id]?.place {
            case .leased: return BrokerError(.messageLeased, "message \(id) is leased from \(subscription.name)")
            case .dead: continue
            case .ready, .delayed, .blocked: isOpen = true
            case nil: if subscription.isFresh(id, entry) { isOpen = true }
            }
        }
        return isOpen ? nil : unknown(id)
    }

    private func unknown(_ id: MessageID) -> BrokerError {
        BrokerError(.messageUnknown, "no subscription has to deliver message \(id): unknown, settled or dead")
    }

    /// Subscriptions that would have a message delayed in addition.
    private func undelayedCount(_ id: MessageID) -> Int {
        guard let entry = messages[id], let topic = topics[entry.topic] else { return 0 }
        return topic.subscriptions.count { subscription in
            switch subscription.slots[id]?.place {
            case .ready, .blocked: true
            case .delayed, .dead, .leased: false
            case nil: subscription.isFresh(id, entry)
            }
        }
    }

    func applyCancelled(_ ids: [MessageID]) {
        for id in ids {
            guard let entry = messages[id], let topic = topics[entry.topic] else { continue }
            for subscription in topic.subscriptions where subscription.slots[id]?.place != .dead {
                _ = remove(id, from: subscription, isKept: false)
            }
        }
    }

    /// The message leaves the row, and gives its ordering key back, as one that was published with this time. A key
    /// that it parks stays parked.
    func applyRescheduled(_ id: MessageID, _ deliverAt: WallTime) {
        guard let entry = messages[id], let topic = topics[entry.topic] else { return }
        extras[id, default: MessageExtras()].deliverAt = deliverAt
        for subscription in topic.subscriptions where subscription.owes(id, entry) {
            postpone(id, entry, of: subscription, until: deliverAt)
        }
    }

    /// A message that stands in its topic's lane with a deliver-at got it by rescheduling: it is delayed for a new
    /// subscription as well.
    func postponeRescheduled(_ ids: [MessageID], of subscription: Subscription) {
        for id in ids {
            guard let entry = messages[id], let deliverAt = extras[id]?.deliverAt else { continue }
            postpone(id, entry, of: subscription, until: deliverAt)
        }
    }

    private func postpone(_ id: MessageID, _ entry: MessageEntry, of subscription: Subscription, until: WallTime) {
        if subscription.slots[id]?.place == .dead { return }
        subscription.claim(id, entry)
        freeKey(of: id, in: subscription, isOver: false)
        move(subscription.id, id, to: .delayed(until: until))
    }
}

extension PublishedMessage {
    /// The same with the deliver-at that it has now.
    func delivered(at time: WallTime?) -> PublishedMessage {
        PublishedMessage(
            id: id, topic: topic, publishedAt: publishedAt, priority: priority, orderingKey: orderingKey,
            deliverAt: time, expiresAt: expiresAt, dedupID: dedupID, headers: headers, body: body)
    }
}
