import BrokerProtocol

extension BrokerState {
    func topicStatuses() -> [TopicStatus] {
        topics.values.sorted { $0.name < $1.name }.map { topic in
            var status = TopicStatus(name: topic.name, settings: topic.settings)
            status.messages = UInt64(topic.messageCount)
            status.published = topic.published
            status.subscriptions = topic.subscriptions.compactMap { id in
                guard let subscription = subscriptions[id] else { return nil }
                var status = SubscriptionStatus(name: subscription.name)
                status.settings = subscription.settings
                status.consumers = UInt32(subscription.consumers.count)
                status.ready = UInt64(subscription.readyCount)
                status.delayed = UInt64(subscription.delayedCount)
                status.leased = UInt64(subscription.leasedCount)
                status.dead = UInt64(subscription.deadCount)
                status.delivered = subscription.delivered
                status.acknowledged = subscription.acknowledged
                return status
            }
            return status
        }
    }

    /// The counts; the server adds what it alone knows.
    func status() -> BrokerStatus {
        var status = BrokerStatus()
        status.topics = UInt32(topics.count)
        status.messages = UInt64(messages.count)
        for subscription in subscriptions.values {
            status.ready += UInt64(subscription.readyCount)
            status.delayed += UInt64(subscription.delayedCount)
            status.leased += UInt64(subscription.leasedCount)
            status.dead += UInt64(subscription.deadCount)
        }
        status.published = totals.published
        status.delivered = totals.delivered
        status.acknowledged = totals.acknowledged
        return status
    }

    /// At most 1000 messages, and at most about 4 MiB of bodies.
    func peek(_ topic: Topic, from: MessageID, limit: UInt32) -> [Notice] {
        var notices: [Notice] = []
        var bytes = 0
        for id in topic.order.waiting where id >= from {
            guard let message = messages[id] else { continue }
            if notices.count >= min(Int(limit), 1000) || (bytes > 0 && bytes + message.bytes > 4 << 20) { break }
            bytes += message.bytes
            notices.append(
                Notice(
                    id: id, subscription: SubscriptionName(topic: topic.name), publishedAt: message.publishedAt,
                    address: message.address))
        }
        return notices
    }

    func deadNotices(_ subscription: Subscription, from: MessageID, limit: UInt32) -> [Notice] {
        var notices: [Notice] = []
        var bytes = 0
        for id in subscription.deadLetters(from: from, limit: min(Int(limit), 1000)) {
            guard let message = messages[id], let history = subscription.slots[id]?.history else { continue }
            if bytes > 0 && bytes + message.bytes > 4 << 20 { break }
            bytes += message.bytes
            notices.append(
                Notice(
                    id: id, subscription: subscription.name, attempt: history.attempts,
                    publishedAt: message.publishedAt, redrives: history.redrives, lastError: history.lastError,
                    deathReason: history.deathReason, deadAt: history.deadAt, address: message.address))
        }
        return notices
    }

    /// Everything but messages, for the records that replace those of recycled segments.
    func definitions() -> [Fact] {
        var facts: [Fact] = [
            .counted(
                nextMessage: MessageID(rawValue: nextMessage), nextTopic: TopicID(rawValue: nextTopic),
                nextSubscription: SubscriptionID(rawValue: nextSubscription))
        ]
        for topic in topics.values.sorted(by: { $0.id < $1.id }) {
            facts.append(.topicDefined(topic.id, topic.name, topic.settings))
            for id in topic.subscriptions {
                guard let subscription = subscriptions[id] else { continue }
                facts.append(
                    .subscriptionDefined(id, topic.id, name: subscription.name.name, start: .now, renames: true))
                facts.append(.subscriptionSet(id, subscription.settings))
            }
            if !topic.dedupEntries.isEmpty { facts.append(.deduplicated(topic.id, topic.dedupEntries)) }
        }
        return facts
    }

    /// Live messages of a segment, in id order.
    func messages(inSegment segment: UInt64) -> [Message] {
        messages.values.filter { $0.address.position / segmentBytes == segment }.sorted { $0.id < $1.id }
    }

    /// The fact that lets a live message stand further on in the log.
    func restatement(of published: PublishedMessage) -> Fact {
        let slots: [SlotRecord] = (topics[published.topic]?.subscriptions ?? []).compactMap { id in
            guard let slot = subscriptions[id]?.slots[published.id] else { return nil }
            let history = slot.history
            var readyAt: WallTime?
            if case .delayed(let until) = slot.place { readyAt = until }
            return SlotRecord(
                subscription: id, attempts: history.attempts, deaths: history.deaths, redrives: history.redrives,
                lastError: history.lastError, readyAt: readyAt,
                deathReason: slot.place == .dead ? history.deathReason : nil, deadAt: history.deadAt)
        }
        return .restated(published, slots)
    }
}
