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
            status.figures.add("retained", UInt64(topic.retained.ids.count))
            status.figures.add("retained_bytes", topic.retained.bytes)
            status.subscriptions = topic.subscriptions.map { self.status(of: $0) }
            return status
        }
    }

    func status(of subscription: Subscription) -> SubscriptionStatus {
        var status = SubscriptionStatus(name: subscription.name)
        status.settings = subscription.ownSettings
        status.consumers = UInt32(subscription.consumers.count)
        status.ready = UInt64(subscription.readyCount + subscription.blockedCount)
        status.delayed = UInt64(subscription.delayedCount)
        status.leased = UInt64(subscription.leasedCount)
        status.dead = UInt64(subscription.dead.count)
        status.delivered = subscription.delivered
        status.acknowledged = subscription.acknowledged
        status.filter = subscription.filter.pairs
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
        ids.add(topic.retained.ids)
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

    /// Dead letters by id, of one subscription or of the members of a pattern.
    func deadNotices(_ members: [Subscription], from: MessageID, limit: UInt32) -> [Notice] {
        var page = Page()
        let count = max(min(Int(limit), Page.messagesMax), 1)
        let letters = members.flatMap { member in
            member.deadLetters(from: from, limit: count).map { (id: $0, subscription: member) }
        }
        for (id, subscription) in members.count == 1 ? letters : letters.sorted(by: { $0.id < $1.id }) {
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
