import BrokerProtocol

/// How facts change the state: the one way, live and at recovery. A fact about something that is gone changes nothing,
/// because its cause may have been recycled.
extension BrokerState {
    func apply(_ fact: Fact, at address: RecordAddress) {
        switch fact {
        case .topicDefined(let id, let name, let settings):
            if topics[id] == nil { topics[id] = Topic(id: id, name: name, settings: settings) }
            topics[id]?.settings = settings
            topicsByName[name] = id
            nextTopic = max(nextTopic, id.rawValue + 1)
        case .topicDeleted(let id): deleteTopic(id)
        case .subscriptionDefined(let id, let topic, let name, let start, let renames):
            defineSubscription(id, topic, name, start, renames: renames)
        case .subscriptionSet(let id, let settings): subscriptions[id]?.settings = settings
        case .subscriptionDeleted(let id): deleteSubscription(id)
        case .published(let message): applyPublished(message, address)
        case .acknowledged(let id, let messages):
            for message in messages { settle(id, message) }
        case .attempted(let id, let messages):
            for message in messages { subscriptions[id]?.amend(message) { $0.attempts += 1 } }
        case .returned(let id, let message, let readyAt, let countsAttempt, let isDeath, let error):
            applyReturned(id, message, readyAt, countsAttempt, isDeath, error)
        case .died(let id, let message, let reason, let error, let isDeath, let at):
            subscriptions[id]?.amend(message) { history in
                history.deathReason = reason
                history.deadAt = at
                if let error { history.lastError = error }
                if isDeath { history.deaths += 1 }
            }
            subscriptions[id]?.move(message, to: .dead)
        case .redriven(let id, let messages):
            for message in messages { redrive(id, message) }
        case .purged(let id, let messages):
            for message in messages { settle(id, message, isAcknowledged: false) }
        case .restated(let message, let slots): restate(message, slots, address)
        case .deduplicated(let topic, let entries):
            for entry in entries { topics[topic]?.remember(entry) }
        case .counted(let message, let topic, let subscription):
            nextMessage = max(nextMessage, message.rawValue)
            nextTopic = max(nextTopic, topic.rawValue)
            nextSubscription = max(nextSubscription, subscription.rawValue)
        }
    }

    private func applyPublished(_ published: PublishedMessage, _ address: RecordAddress) {
        nextMessage = max(nextMessage, published.id.rawValue + 1)
        guard topics[published.topic] != nil else { return }
        keep(published, address, owed: 0)
        topics[published.topic]?.published += 1
        totals.published += 1
        if let dedupID = published.dedupID, let settings = topics[published.topic]?.settings {
            let until = published.publishedAt.adding(milliseconds: settings.dedupWindowMilliseconds)
            topics[published.topic]?.forgetDuplicates(now: published.publishedAt)
            topics[published.topic]?.remember(
                DedupEntry(dedupID: dedupID, message: published.id, until: until))
        }
        for id in topics[published.topic]?.subscriptions ?? [] {
            enqueue(published.id, to: id, readyAt: published.deliverAt, isFresh: true)
        }
        if messages[published.id]?.owed == 0 { drop(published.id) }
    }

    /// Puts a live message into RAM's index.
    private func keep(_ published: PublishedMessage, _ address: RecordAddress, owed: Int) {
        let bytes = published.body.count + 64
        messages[published.id] = Message(
            id: published.id, topic: published.topic, publishedAt: published.publishedAt,
            priority: published.priority, deliverAt: published.deliverAt, expiresAt: published.expiresAt,
            address: address, bytes: bytes, owed: owed)
        liveBytes[address.position / segmentBytes, default: 0] += bytes
        topics[published.topic]?.order.append(published.id)
        topics[published.topic]?.messageCount += 1
    }

    /// Forgets a message that nobody owes a verdict any more.
    private func drop(_ id: MessageID) {
        guard let message = messages.removeValue(forKey: id) else { return }
        unaccount(message)
        topics[message.topic]?.messageCount -= 1
        while let first = topics[message.topic]?.order.first, messages[first] == nil {
            _ = topics[message.topic]?.order.removeFirst()
        }
    }

    private func unaccount(_ message: Message) {
        let segment = message.address.position / segmentBytes
        liveBytes[segment, default: 0] -= message.bytes
        if liveBytes[segment, default: 0] <= 0 { liveBytes[segment] = nil }
    }

    private func enqueue(_ id: MessageID, to subscription: SubscriptionID, readyAt: WallTime?, isFresh: Bool) {
        messages[id]?.owed += 1
        if let readyAt {
            subscriptions[subscription]?.add(id, place: .delayed(until: readyAt))
            delayed.insert(DelayedEntry(until: readyAt, message: id, subscription: subscription))
        } else {
            subscriptions[subscription]?.add(id, place: .ready)
            subscriptions[subscription]?.ready.insert(id, priority: messages[id]?.priority ?? 0, isFresh: isFresh)
            markDirty(subscription)
        }
    }

    private func settle(_ id: SubscriptionID, _ message: MessageID, isAcknowledged: Bool = true) {
        guard subscriptions[id]?.remove(message) == true else { return }
        if isAcknowledged {
            subscriptions[id]?.acknowledged += 1
            totals.acknowledged += 1
        }
        messages[message]?.owed -= 1
        if messages[message]?.owed == 0 { drop(message) }
    }

    private func applyReturned(
        _ id: SubscriptionID, _ message: MessageID, _ readyAt: WallTime, _ countsAttempt: Bool, _ isDeath: Bool,
        _ error: String?
    ) {
        subscriptions[id]?.amend(message) { history in
            if !countsAttempt && history.attempts > 0 { history.attempts -= 1 }
            if isDeath { history.deaths += 1 }
            if let error { history.lastError = error }
        }
        subscriptions[id]?.move(message, to: .delayed(until: readyAt))
        delayed.insert(DelayedEntry(until: readyAt, message: message, subscription: id))
    }

    private func redrive(_ id: SubscriptionID, _ message: MessageID) {
        guard subscriptions[id]?.slots[message]?.place == .dead else { return }
        subscriptions[id]?.amend(message) { history in
            history = SlotHistory(redrives: history.redrives + 1, lastError: history.lastError)
        }
        makeReady(id, message)
    }

    /// From delayed or dead to ready, at the place that its id gives it.
    func makeReady(_ id: SubscriptionID, _ message: MessageID) {
        subscriptions[id]?.move(message, to: .ready)
        subscriptions[id]?.ready.insert(message, priority: messages[message]?.priority ?? 0, isFresh: false)
        markDirty(id)
    }

    private func restate(_ published: PublishedMessage, _ slots: [SlotRecord], _ address: RecordAddress) {
        nextMessage = max(nextMessage, published.id.rawValue + 1)
        if let old = messages[published.id] {
            unaccount(old)
            messages[published.id]?.address = address
            liveBytes[address.position / segmentBytes, default: 0] += old.bytes
            return
        }
        guard topics[published.topic] != nil else { return }
        keep(published, address, owed: 0)
        for slot in slots where subscriptions[slot.subscription] != nil {
            enqueue(published.id, to: slot.subscription, readyAt: slot.readyAt, isFresh: false)
            subscriptions[slot.subscription]?.amend(published.id) { history in
                history = SlotHistory(
                    attempts: slot.attempts, deaths: slot.deaths, redrives: slot.redrives, lastError: slot.lastError,
                    deathReason: slot.deathReason, deadAt: slot.deadAt)
            }
            if slot.deathReason != nil { subscriptions[slot.subscription]?.move(published.id, to: .dead) }
        }
        if messages[published.id]?.owed == 0 { drop(published.id) }
    }

    private func defineSubscription(
        _ subscription: SubscriptionID, _ topic: TopicID, _ name: String, _ start: StartPosition, renames: Bool
    ) {
        nextSubscription = max(nextSubscription, subscription.rawValue + 1)
        guard let topicName = topics[topic]?.name else { return }
        let full = SubscriptionName(topic: topicName, name: name)
        if subscriptions[subscription] != nil {
            if renames { subscriptions[subscription]?.name = full }
            return
        }
        subscriptions[subscription] = Subscription(id: subscription, topic: topic, name: full)
        topics[topic]?.subscriptions.append(subscription)
        if start == .now { return }
        for id in topics[topic]?.order.waiting ?? [] {
            guard let message = messages[id], start.includes(message) else { continue }
            enqueue(message.id, to: subscription, readyAt: message.deliverAt, isFresh: true)
        }
    }

    private func deleteSubscription(_ id: SubscriptionID) {
        guard let subscription = subscriptions[id] else { return }
        for message in subscription.slots.keys.sorted() { settle(id, message, isAcknowledged: false) }
        subscriptions[id] = nil
        topics[subscription.topic]?.subscriptions.removeAll { $0 == id }
    }

    private func deleteTopic(_ id: TopicID) {
        guard let topic = topics[id] else { return }
        for subscription in topic.subscriptions { deleteSubscription(subscription) }
        topics[id] = nil
        topicsByName[topic.name] = nil
    }
}

extension StartPosition {
    fileprivate func includes(_ message: Message) -> Bool {
        switch self {
        case .beginning: true
        case .now: false
        case .time(let time): message.publishedAt >= time
        case .message(let id): message.id >= id
        }
    }
}
