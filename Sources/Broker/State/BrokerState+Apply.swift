import BrokerProtocol

/// How facts change the state: the one way, live and at recovery. A fact about something that is gone changes nothing,
/// because its cause may have been recycled.
extension BrokerState {
    func apply(_ fact: Fact, at address: RecordAddress) {
        switch fact {
        case .topicDefined(let id, let name, let settings): defineTopic(id, name, settings)
        case .topicDeleted(let id): deleteTopic(id)
        case .subscriptionDefined(let id, let topic, let name, let start, let origin):
            defineSubscription(id, topic, name, start, origin)
        case .subscriptionSet(let id, let settings): setSubscription(id, settings)
        case .subscriptionDeleted(let id): deleteSubscription(id)
        case .published(let message): applyPublished(message, address)
        case .acknowledged(let id, let messages): applyAcknowledged(id, messages)
        case .clocked(let time): clock.note(time, segment: address.position / segmentBytes)
        case .attempted(let id, let messages), .handed(let id, let messages, consumer: _):
            for message in messages {
                if !extras.isEmpty, let key = extras[message]?.orderingKey {
                    subscriptions[id]?.hold(key, for: message)
                }
                amend(id, message) { $0.countAttempt() }
                // Only at recovery: what was handed out had waited long enough, whatever the clocks say now.
                if subscriptions[id]?.delayed.contains(message) ?? false { move(id, message, to: .ready) }
            }
        case .returned(let id, let message, let back):
            amend(id, message) { $0.note(back) }
            move(id, message, to: .delayed(until: back.readyAt))
            // Its end may have passed while it was leased, and come again: the clock was set back.
            watchEnd(of: message)
        case .died(let id, let message, let death):
            amend(id, message) { [sweepCount] in $0.note(death, sweep: sweepCount) }
            move(id, message, to: .dead)
        case .redriven(let id, let messages):
            for message in messages where subscriptions[id]?.slots[message]?.place == .dead {
                amend(id, message) { $0.noteRedrive() }
                move(id, message, to: .ready)
            }
        case .purged(let id, let messages):
            guard let subscription = subscriptions[id] else { return }
            for message in messages { _ = remove(message, from: subscription, isKept: false) }
            markDirty(subscription)
        case .restated(let message, let slots): applyRestated(message, slots, address)
        case .keyParked(let id, let key, let message): applyParked(id, key, message)
        case .keyReleased(let id, let keys): for key in keys { applyReleased(id, key) }
        case .deduplicated(let topic, let entries):
            segments.addDedup(entries.count, segment: address.position / segmentBytes)
            for entry in entries { topics[topic]?.remember(entry, countMax: dedupMax(topic)) }
        case .patternDefined(let id, let name): definePattern(id, name)
        case .memberDefined(let id, let topic, let pattern, let start): defineMember(id, topic, pattern, start)
        case .subscriptionFiltered(let id, let filter): filterSubscription(id, filter)
        case .assigned(let id, let messages, let rest): applyAssigned(id, messages, rest)
        case .forgotten(let id, let last): if let topic = topics[id] { forgetRetained(of: topic, through: last) }
        case .counted(let message, let topic, let subscription):
            nextMessage = max(nextMessage, message.rawValue)
            nextTopic = max(nextTopic, topic.rawValue)
            nextSubscription = max(nextSubscription, subscription.rawValue)
        case .cancelled(let messages): applyCancelled(messages)
        case .rescheduled(let message, let deliverAt): applyRescheduled(message, deliverAt)
        case .scheduleDefined(let schedule, let progress): defineSchedule(schedule, progress)
        case .scheduleDeleted(let name): removeSchedule(name)
        case .scheduleFired(let name, let tick, let refusal):
            schedules.states[name]?.progress.note(tick, refusal: refusal)
        case .paused(let place, let scope, let pause): applyPaused(place, scope, pause)
        case .jobStarted(let job): applyJobStarted(job)
        case .jobMoved(let id, let next, let moved): applyJobMoved(id, next: next, moved: moved)
        case .jobEnded(let id): endJobs { $0.id == id }
        }
    }

    private func dedupMax(_ id: TopicID) -> Int {
        min(limits.dedupMax, topics[id].map { Int($0.settings.dedupMax) } ?? .max)
    }

    // MARK: Messages

    private func applyPublished(_ published: PublishedMessage, _ address: RecordAddress) {
        nextMessage = max(nextMessage, published.id.rawValue + 1)
        guard let topic = topics[published.topic] else { return }
        topic.published += 1
        topic.newest = StreamPosition(time: published.publishedAt, message: published.id)
        totals.published += 1
        if let dedupID = published.dedupID {
            let until = published.publishedAt.adding(milliseconds: topic.settings.dedupWindowMilliseconds)
            topic.forgetDuplicates(now: published.publishedAt)
            let entry = DedupEntry(dedupID: dedupID, message: published.id, until: until)
            topic.remember(entry, countMax: dedupMax(topic.id))
            segments.addDedup(1, segment: address.position / segmentBytes)
        }
        let owed = topic.readerCount(of: published.headers)
        if owed == 0 || messages[published.id] != nil { return }
        // Each queued subscription has it by itself.
        let isInLane = published.deliverAt == nil && topic.subscriptions.contains { !$0.isQueued }
        keep(published, topic, address, owed: owed, isInLane: isInLane)
        for subscription in topic.subscriptions {
            if isInLane && subscription.isQueued { subscription.passLast(lane: Int(published.priority)) }
            if !subscription.wants(published.headers) { continue }
            subscription.fair?.assign(published.id, published.headers, Int(published.priority))
            if let readyAt = published.deliverAt {
                add(published.id, Slot(place: .delayed(until: readyAt)), to: subscription)
            } else if subscription.isQueued {
                add(published.id, Slot(place: .ready), to: subscription)
            } else {
                subscription.addFresh()
                markDirty(subscription)
            }
        }
    }

    /// Puts a live message into RAM's index.
    /// - Parameter owed: How many subscriptions owe it a verdict from the start.
    private func keep(
        _ published: PublishedMessage, _ topic: Topic, _ address: RecordAddress, owed: Int, isInLane: Bool
    ) {
        var contentBytes = published.body.count
        for header in published.headers { contentBytes += header.key.utf8.count + header.value.utf8.count + 4 }
        let entry = MessageEntry(
            position: address.position, publishedAt: published.publishedAt, offset: UInt32(address.offset),
            bytes: UInt32(contentBytes + MessageEntry.overheadBytes), topic: topic.id, owed: UInt16(owed),
            priority: published.priority,
            isInLane: isInLane)
        index(entry, as: published.id, in: topic)
        if published.deliverAt != nil || published.expiresAt != nil || published.orderingKey != nil {
            extras[published.id] = MessageExtras(
                orderingKey: published.orderingKey, deliverAt: published.deliverAt, expiresAt: published.expiresAt)
        }
        if published.expiresAt != nil {
            expiry.liveCount += 1
            watchEnd(of: published.id)
        }
    }

    func index(_ entry: MessageEntry, as id: MessageID, in topic: Topic) {
        messages.insert(entry, as: id)
        segments.add(entry, segmentBytes)
        topic.messageCount += 1
        owedCount += Int(entry.owed)
        if entry.owed > 0 { topic.open(entry) }
        if entry.isInLane { topic.append(id, priority: entry.priority) }
    }

    func add(_ id: MessageID, _ slot: Slot, to subscription: Subscription) {
        subscription.add(id, slot, priority: messages[id]?.priority ?? 0)
        switch slot.place {
        case .ready: markDirty(subscription)
        case .delayed(let until): delay(id, subscription, until: until)
        case .dead: if let entry = messages[id] { noteDeath(of: id, entry, in: subscription.topic, isDead: true) }
        case .leased, .blocked: break
        }
    }

    private func delay(_ id: MessageID, _ subscription: Subscription, until: WallTime) {
        delayedCount += 1
        let entry = DelayedEntry(until: until, message: id, subscription: subscription.id)
        func isLive(_ entry: DelayedEntry) -> Bool {
            subscriptions[entry.subscription]?.slots[entry.message]?.place == .delayed(until: entry.until)
        }
        if extras[id]?.deliverAt == until {
            delayed.insert(entry)
            delayed.dropStale(liveCount: delayedCount, where: isLive)
        } else {
            backoffs.insert(entry)
            backoffs.dropStale(liveCount: delayedCount, where: isLive)
        }
    }

    /// Makes sure that an owed message has a slot, and changes it.
    private func amend(_ id: SubscriptionID, _ message: MessageID, _ change: (inout Slot) -> Void) {
        guard let subscription = subscriptions[id], let entry = messages[message], entry.topic == subscription.topic.id
        else { return }
        subscription.claim(message, entry)
        subscription.amend(message, change)
    }

    func move(_ id: SubscriptionID, _ message: MessageID, to place: Slot.Place) {
        guard let subscription = subscriptions[id], let entry = messages[message],
            let old = subscription.move(message, to: place, priority: entry.priority)
        else { return }
        leave(old, message, subscription)
        if old.isDead != place.isDead { noteDeath(of: message, entry, in: subscription.topic, isDead: place.isDead) }
        if case .delayed(let until) = place { delay(message, subscription, until: until) }
        switch place {
        case .ready: markDirty(subscription)
        case .dead:
            markDirty(subscription)
            freeKey(of: message, in: subscription, isOver: false)
        case .leased, .delayed, .blocked: break
        }
    }

    /// What hangs on a place ends with it: a lease lives exactly as long as its message is leased.
    private func leave(_ place: Slot.Place, _ id: MessageID, _ subscription: Subscription) {
        switch place {
        case .leased(let id): if let lease = leases[id] { end(lease) }
        case .delayed: delayedCount -= 1
        case .blocked: if let key = extras[id]?.orderingKey { subscription.noteUnblocked(key) }
        case .ready, .dead: break
        }
    }

    /// A message is over for a subscription, or given up: the next one of its key may go.
    func freeKey(of id: MessageID, in subscription: Subscription, isOver: Bool) {
        guard !extras.isEmpty, let key = extras[id]?.orderingKey else { return }
        if let next = subscription.free(key, from: id, isOver: isOver) { move(subscription.id, next, to: .ready) }
    }

    private func applyAcknowledged(_ id: SubscriptionID, _ messages: [MessageID]) {
        guard let subscription = subscriptions[id] else { return }
        for message in messages where remove(message, from: subscription) {
            subscription.acknowledged += 1
            totals.acknowledged += 1
        }
    }

    /// The subscription's part of a message is over.
    /// - Parameter isKept: Whether the topic may retain it.
    func remove(_ id: MessageID, from subscription: Subscription, isKept: Bool = true) -> Bool {
        guard let entry = messages[id], entry.topic == subscription.topic.id else { return false }
        guard let removal = subscription.remove(id, entry) else { return false }
        if case .slot(let place) = removal { leave(place, id, subscription) }
        noteRemoval(of: id, entry, from: subscription.topic, removal)
        freeKey(of: id, in: subscription, isOver: true)
        owedCount -= 1
        if entry.owed > 1 {
            messages.amend(id) { $0.owed -= 1 }
        } else {
            subscription.topic.messageCount -= 1
            if isKept && retain(id, entry, in: subscription.topic) {
                messages.amend(id) { $0.owed = 0 }
                return true
            }
            messages.remove(id)
            if !extras.isEmpty, let extra = extras.removeValue(forKey: id), extra.expiresAt != nil {
                expiry.liveCount -= 1
            }
            segments.remove(entry, segmentBytes)
        }
        return true
    }

    private func applyRestated(_ published: PublishedMessage, _ slots: [SlotRecord], _ address: RecordAddress) {
        nextMessage = max(nextMessage, published.id.rawValue + 1)
        if let old = messages[published.id] {
            segments.remove(old, segmentBytes)
            messages.amend(published.id) { $0.address = address }
            if let new = messages[published.id] { segments.add(new, segmentBytes) }
            for subscription in topics[published.topic]?.subscriptions ?? []
            where subscription.slots[published.id] != nil {
                subscription.fair?.assign(published.id, published.headers, Int(published.priority))
            }
            return
        }
        guard let topic = topics[published.topic] else { return }
        let owing = slots.filter { subscriptions[$0.subscription]?.topic === topic }
        let isRetained = slots.isEmpty && topic.settings.retains && published.id > topic.retained.forgotten
        if owing.isEmpty && !isRetained { return }
        keep(published, topic, address, owed: 0, isInLane: false)
        if isRetained, let entry = messages[published.id], retain(published.id, entry, in: topic) {
            topic.messageCount -= 1
        }
        for record in owing {
            guard let subscription = subscriptions[record.subscription], subscription.slots[published.id] == nil
            else { continue }
            sweepCount = max(sweepCount, record.grave?.sweep ?? 0)
            owe(published.id)
            subscription.fair?.assign(published.id, published.headers, Int(published.priority))
            add(published.id, Slot(record), to: subscription)
            let isInWork = record.readyAt.map { $0 != published.deliverAt } ?? (record.attempts > 0)
            if let key = published.orderingKey, record.grave == nil, isInWork {
                subscription.hold(key, for: published.id)
            }
        }
    }

    // MARK: Definitions

    private func defineTopic(_ id: TopicID, _ name: TopicName, _ settings: TopicSettings) {
        nextTopic = max(nextTopic, id.rawValue + 1)
        if let topic = topics[id] {
            definitionBytes += settings.changedBytes - topic.settings.changedBytes
            topic.settings = settings
            lookAtRetained(of: topic)
            expiry.note(id, hasAge: settings.messageAgeMaxMilliseconds > 0)
            for subscription in topic.subscriptions where subscription.ownSettings == nil { follow(subscription) }
            topic.subscriptions.forEach(markDirty)
            return
        }
        let topic = Topic(id: id, name: name, settings: settings)
        topics[id] = topic
        topicsByName[name] = topic
        definitionBytes += Self.definitionBytes(name.text) + settings.changedBytes
        if settings.messageAgeMaxMilliseconds > 0 { expiry.note(id, hasAge: true) }
    }

    /// - Parameter pattern: The one that it becomes a member of.
    func defineSubscription(
        _ id: SubscriptionID, _ topicID: TopicID, _ name: String, _ start: StartPosition,
        _ origin: SubscriptionOrigin, _ pattern: Pattern? = nil
    ) {
        nextSubscription = max(nextSubscription, id.rawValue + 1)
        guard let topic = topics[topicID] else { return }
        let full = SubscriptionName(topic: topic.name, name: name)
        if let subscription = subscriptions[id] {
            subscription.origin = origin
            if subscription.name == full { return }
            definitionBytes += Self.definitionBytes(name) - Self.definitionBytes(subscription.name.name)
            subscription.name = full
            if let pattern { join(subscription, pattern) }
            for message in subscription.owed() where !includes(start, message) {
                _ = remove(message, from: subscription)
            }
            return
        }
        let subscription = Subscription(id: id, topic: topic, name: full, origin: origin)
        if start != .now { begin(subscription, at: start) }
        subscriptions[id] = subscription
        topic.subscriptions.append(subscription)
        definitionBytes += Self.definitionBytes(name)
        pattern?.add(subscription)
        follow(subscription)
    }

    /// Gives a new subscription the live messages that its start includes.
    private func begin(_ subscription: Subscription, at start: StartPosition) {
        let topic = subscription.topic
        var others: Set<MessageID> = []
        var rescheduled: [MessageID] = []
        for sibling in topic.subscriptions { others.formUnion(sibling.slots.keys) }
        for lane in 0..<Topic.priorities {
            let ids = topic.lanes[lane].from(topic.lanes[lane].start)
            let skipped = ids.firstIndex { includes(start, $0) } ?? ids.endIndex
            let index = topic.lanes[lane].start + UInt64(skipped - ids.startIndex)
            for id in subscription.begin(lane: lane, at: index, isLive: { messages[$0] != nil }) {
                owe(id)
                watchEnd(of: id)
                others.remove(id)
                if extras[id]?.deliverAt != nil { rescheduled.append(id) }
            }
        }
        if !rescheduled.isEmpty {
            subscriptions[subscription.id] = subscription
            postponeRescheduled(rescheduled, of: subscription)
        }
        for id in others.sorted() where includes(start, id) {
            owe(id)
            watchEnd(of: id)
            let place = extras[id]?.deliverAt.map { Slot.Place.delayed(until: $0) } ?? .ready
            subscriptions[subscription.id] = subscription
            add(id, Slot(place: place), to: subscription)
        }
    }

    private func includes(_ start: StartPosition, _ id: MessageID) -> Bool {
        switch start {
        case .beginning: true
        case .now: false
        case .time(let time): messages[id].map { $0.publishedAt >= time } ?? false
        case .message(let first): id >= first
        }
    }

    func deleteSubscription(_ id: SubscriptionID) {
        if let pattern = patterns[id] { return deletePattern(pattern) }
        guard let subscription = subscriptions[id] else { return }
        for message in subscription.owed() { _ = remove(message, from: subscription) }
        endJobs { $0.subscription == id }
        if subscription.isAlarmed { alarmCount -= 1 }
        subscriptions[id] = nil
        if subscription.reading != nil { readings.removeAll { $0 === subscription } }
        forgetFilter(of: subscription)
        if subscription.isCountedAsParking { parkingCount -= 1 }
        for consumer in subscription.group?.consumers ?? [] { sessions[consumer.session.id] = nil }
        definitionBytes -= Self.definitionBytes(subscription.name.name) + (subscription.ownSettings?.changedBytes ?? 0)
        subscription.pattern?.remove(subscription)
        subscription.topic.subscriptions.removeAll { $0 === subscription }
        subscription.topic.trim()
    }

    private func deleteTopic(_ id: TopicID) {
        guard let topic = topics[id] else { return }
        for subscription in topic.subscriptions { deleteSubscription(subscription.id) }
        forgetRetained(of: topic, through: MessageID(rawValue: .max))
        topics[id] = nil
        topicsByName[topic.name] = nil
        expiry.note(id, hasAge: false)
        definitionBytes -= Self.definitionBytes(topic.name.text) + topic.settings.changedBytes
    }
}
