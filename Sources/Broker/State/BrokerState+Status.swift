import BrokerProtocol

extension BrokerState {
    func topicStatuses() -> [TopicStatus] {
        topics.values.sorted { $0.name < $1.name }.map { topic in
            var status = TopicStatus(name: topic.name, settings: topic.settings)
            status.messages = UInt64(topic.messageCount)
            status.published = topic.published
            status.figures += pauseFigures(of: topic)
            let overflow = topic.settings.overflow == .deadLetterOldest ? "overflowed" : "dropped"
            status.figures.add(overflow, topic.sacrificed)
            status.figures.add("open", UInt64(topic.openCount))
            status.figures.add("open_bytes", topic.openBytes)
            status.subscriptions = topic.subscriptions.map { self.status(of: $0) }
            return status
        }
    }

    private func status(of subscription: Subscription) -> SubscriptionStatus {
        var status = SubscriptionStatus(name: subscription.name)
        status.settings = subscription.ownSettings
        status.consumers = UInt32(subscription.consumers.count)
        status.ready = UInt64(subscription.readyCount + subscription.blockedCount)
        status.delayed = UInt64(subscription.delayedCount)
        status.leased = UInt64(subscription.leasedCount)
        status.dead = UInt64(subscription.dead.count)
        status.delivered = subscription.delivered
        status.acknowledged = subscription.acknowledged
        status.figures += pauseFigures(of: subscription)
        status.figures.add("expired", subscription.expired)
        status.figures += dispatchFigures(of: subscription)
        if subscription.isAlarmed { status.figures.append(Figure("dead_alarm", 1)) }
        return status
    }

    /// The counts; the server adds what it alone knows.
    func status() -> BrokerStatus {
        var status = BrokerStatus()
        status.topics = UInt32(topics.count)
        status.messages = UInt64(messages.count)
        for subscription in subscriptions.values {
            status.ready += UInt64(subscription.readyCount + subscription.blockedCount)
            status.delayed += UInt64(subscription.delayedCount)
            status.leased += UInt64(subscription.leasedCount)
            status.dead += UInt64(subscription.dead.count)
        }
        status.published = totals.published
        status.delivered = totals.delivered
        status.acknowledged = totals.acknowledged
        if alarmCount > 0 { status.figures.append(Figure("alarms", Int64(alarmCount))) }
        return status
    }

    /// One answer carries at most 1000 messages, and about 4 MiB of them.
    private struct Page {
        static let messagesMax = 1_000
        static let bytesMax = 4 << 20
        private(set) var notices: [Notice] = []
        private var bytes = 0

        mutating func add(_ notice: Notice, bytes: UInt32, limit: UInt32) -> Bool {
            if notices.count >= min(Int(limit), Self.messagesMax) { return false }
            if !notices.isEmpty && self.bytes + Int(bytes) > Self.bytesMax { return false }
            self.bytes += Int(bytes)
            notices.append(notice)
            return true
        }
    }

    /// Live messages of a topic in publish order.
    func peek(_ topic: Topic, from: MessageID, limit: UInt32) -> [Notice] {
        var ids = MergedIDs(from: from)
        for lane in topic.lanes { ids.add(lane: lane.from(lane.start)) }
        for subscription in topic.subscriptions {
            subscription.addSlots(to: &ids)
            ids.add(subscription.dead)
        }
        var page = Page()
        while let id = ids.next() {
            guard let entry = messages[id] else { continue }
            let notice = Notice(
                id: id, subscription: SubscriptionName(topic: topic.name), address: entry.address)
            if !page.add(notice, bytes: entry.bytes, limit: limit) { break }
        }
        return page.notices
    }

    func deadNotices(_ subscription: Subscription, from: MessageID, limit: UInt32) -> [Notice] {
        var page = Page()
        for id in subscription.deadLetters(from: from, limit: max(min(Int(limit), Page.messagesMax), 1)) {
            guard let entry = messages[id], let slot = subscription.slots[id] else { continue }
            let notice = Notice(
                id: id, subscription: subscription.name, attempt: slot.attempts, deliveries: slot.deliveries,
                redrives: UInt32(slot.redrives), lastError: slot.lastError, lastConsumer: slot.lastConsumer,
                failedAt: slot.failedAt, grave: slot.grave, address: entry.address)
            if !page.add(notice, bytes: entry.bytes, limit: limit) { break }
        }
        return page.notices
    }
}

extension [Figure] {
    /// Zeros are left out.
    mutating func add(_ name: String, _ value: UInt64) {
        if value > 0 { append(Figure(name, Int64(clamping: value))) }
    }
}
