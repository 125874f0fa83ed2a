import BrokerProtocol

extension BrokerState {
    /// One log record per message, so that each is accepted or refused alone.
    func publish(_ outgoing: [OutgoingMessage], now: Now) -> [Result<PublishReceipt, BrokerError>] {
        outgoing.map { message in
            do throws(BrokerError) {
                let (facts, receipt) = try decidePublish(message, now: now)
                try record(facts)
                return .success(receipt)
            } catch {
                return .failure(error)
            }
        }
    }

    /// What a publish would log. A new topic is defined on the way; `isolated` publishes of one commit share nothing.
    func decidePublish(
        _ outgoing: OutgoingMessage, now: Now, offset: UInt64 = 0
    ) throws(BrokerError) -> ([Fact], PublishReceipt) {
        try check(outgoing)
        let topic = try ensureTopic(outgoing.topic)
        if let dedupID = outgoing.dedupID, let first = topics[topic]?.duplicate(of: dedupID, now: now.wall) {
            return ([], PublishReceipt(id: first, isDuplicate: true))
        }
        if let settings = topics[topic]?.settings, settings.messagesMax > 0,
            topics[topic]?.messageCount ?? 0 >= settings.messagesMax
        {
            throw BrokerError(.topicFull, "\(outgoing.topic) holds \(settings.messagesMax) unsettled messages")
        }
        if outgoing.body.count + outgoing.headers.count * 64 + 512 > journal.publishBytesFree() {
            throw BrokerError(.diskFull, "no disk space for publishes; settles still work")
        }
        let deliverAt = outgoing.deliverAt.flatMap { $0 > now.wall ? $0 : nil }
        if deliverAt != nil && delayed.count >= limits.delayedMax {
            throw BrokerError(.delayedLimit, "\(limits.delayedMax) messages are delayed already")
        }
        let id = MessageID(rawValue: nextMessage + offset)
        let message = PublishedMessage(
            id: id, topic: topic, publishedAt: now.wall, priority: outgoing.priority, deliverAt: deliverAt,
            expiresAt: outgoing.expiresAt, dedupID: outgoing.dedupID, headers: outgoing.headers, body: outgoing.body)
        return ([.published(message)], PublishReceipt(id: id))
    }

    private func check(_ outgoing: OutgoingMessage) throws(BrokerError) {
        if outgoing.body.count > limits.bodyBytesMax {
            throw BrokerError(
                .bodyTooLarge, "the body has \(outgoing.body.count) bytes, the limit is \(limits.bodyBytesMax)")
        }
        let headerBytes = outgoing.headers.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        if headerBytes > limits.headersBytesMax {
            throw BrokerError(
                .headersTooLarge, "the headers have \(headerBytes) bytes, the limit is \(limits.headersBytesMax)")
        }
        if outgoing.priority > 9 {
            throw BrokerError(.settingInvalid, "priority \(outgoing.priority) is not 0 to 9")
        }
        if let dedupID = outgoing.dedupID, !(1...255).contains(dedupID.utf8.count) {
            throw BrokerError(.settingInvalid, "a dedup id has 1 to 255 bytes")
        }
        if outgoing.orderingKey != nil {
            throw BrokerError(.unsupported, "ordering keys are not offered by this broker's version")
        }
    }

    /// The topic of this name, made with its `default` subscription when it is new.
    func ensureTopic(_ name: TopicName, settings: TopicSettings? = nil) throws(BrokerError) -> TopicID {
        if let id = topicsByName[name] { return id }
        if topics.count >= limits.topicsMax {
            throw BrokerError(.topicLimit, "there are \(limits.topicsMax) topics, the limit; \(name) was not made")
        }
        let id = TopicID(rawValue: nextTopic)
        let subscription = SubscriptionID(rawValue: nextSubscription)
        try record([
            .topicDefined(id, name, settings ?? limits.defaults),
            .subscriptionDefined(
                subscription, id, name: SubscriptionName.defaultName, start: .beginning, renames: false),
        ])
        return id
    }

    /// The subscription of this name. The first named one of a topic takes over what waits in `default`, unless
    /// somebody consumes that.
    func ensureSubscription(_ name: SubscriptionName, start: StartPosition) throws(BrokerError) -> SubscriptionID {
        if let existing = subscription(named: name) { return existing.id }
        let topic = try ensureTopic(name.topic)
        if let existing = subscription(named: name) { return existing.id }
        let siblings = topics[topic]?.subscriptions ?? []
        if siblings.count == 1, let only = subscriptions[siblings[0]], only.name.isDefault, only.consumers.isEmpty {
            try record([.subscriptionDefined(only.id, topic, name: name.name, start: start, renames: true)])
            return only.id
        }
        if siblings.count >= limits.subscriptionsMax {
            throw BrokerError(
                .subscriptionLimit, "\(name.topic) has \(limits.subscriptionsMax) subscriptions, the limit")
        }
        let id = SubscriptionID(rawValue: nextSubscription)
        try record([.subscriptionDefined(id, topic, name: name.name, start: start, renames: false)])
        return id
    }
}
