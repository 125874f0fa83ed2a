import BrokerProtocol

@testable import Broker

/// What each request must be answered, and what it must change.
extension Model {
    mutating func ensureTopic(_ name: String, _ settings: TopicSettings? = nil) -> BrokerError.Code? {
        if topicIndex(name) != nil { return nil }
        if topics.count >= limits.topicsMax { return .topicLimit }
        if isFull { return .diskFull }
        topics.append(
            Topic(
                name: name, settings: settings ?? limits.defaults,
                subscriptions: [Subscription(name: "default", isAsked: false)]))
        return nil
    }

    mutating func ensureSubscription(_ name: SubscriptionName, _ start: StartPosition) -> BrokerError.Code? {
        if let refusal = ensureTopic(name.topic.text) { return refusal }
        let topic = topicIndex(name.topic.text)!
        let first = firstIncluded(start, topic)
        func includes(_ id: MessageID) -> Bool { first.map { id >= $0 } ?? false }
        if let at = index(name) {
            topics[at.topic].subscriptions[at.subscription].isAsked = true
            return nil
        }
        if topics[topic].subscriptions.count == 1, !topics[topic].subscriptions[0].isAsked {
            topics[topic].subscriptions[0].name = name.name
            topics[topic].subscriptions[0].isAsked = true
            for id in topics[topic].subscriptions[0].slots.keys where !includes(id) {
                topics[topic].subscriptions[0].slots[id] = nil
                unpark((topic, 0), id)
            }
            sweep(topic)
            return nil
        }
        if topics[topic].subscriptions.count >= limits.subscriptionsMax { return .subscriptionLimit }
        if isFull { return .diskFull }
        var subscription = Subscription(name: name.name, isAsked: true)
        for message in topics[topic].messages where includes(message.id) {
            subscription.slots[message.id] = fresh(message)
        }
        topics[topic].subscriptions.append(subscription)
        return nil
    }

    private func firstIncluded(_ start: StartPosition, _ topic: Int) -> MessageID? {
        switch start {
        case .beginning: MessageID(rawValue: 0)
        case .now: nil
        case .time(let time):
            topics[topic].messages.filter { $0.publishedAt >= time.milliseconds }.map(\.id).min()
        case .message(let id): id
        }
    }

    /// Its deliver-at may be over: then it becomes ready at the next look at the clock, as if it had just come.
    private func fresh(_ message: Message) -> Slot {
        Slot(place: message.deliverAt.map { .delayed(until: $0, byWallClock: true) } ?? .ready)
    }

    /// What the broker may answer to one publish.
    enum PublishAnswer: Equatable {
        case refused(BrokerError.Code)
        case new
        case duplicate(MessageID)
        /// The window is over by some of the clocks that were seen: both answers are right.
        case either(MessageID)
    }

    struct Plan {
        var messages: [(topic: String, message: Message, dedup: String?)] = []
        var delayed = 0
    }

    /// Makes the topic; the message itself is only planned.
    mutating func decide(_ outgoing: OutgoingMessage, _ plan: Plan) -> PublishAnswer {
        if outgoing.body.count > limits.bodyBytesMax { return .refused(.bodyTooLarge) }
        if let refusal = ensureTopic(outgoing.topic.text) { return .refused(refusal) }
        let topic = topics[topicIndex(outgoing.topic.text)!]
        if let dedup = outgoing.dedupID {
            if let planned = plan.messages.first(where: { $0.topic == topic.name && $0.dedup == dedup }) {
                return .duplicate(planned.message.id)
            }
            if let known = topic.dedup[dedup], known.until > wall {
                return known.until > wallMax ? .duplicate(known.message) : .either(known.message)
            }
        }
        if topic.intakePause != nil { return .refused(.topicPaused) }
        let planned = plan.messages.count { $0.topic == topic.name }
        let open = topic.messages.count { message in
            topic.subscriptions.contains { subscription in
                guard let place = subscription.slots[message.id]?.place else { return false }
                if case .dead = place { return false }
                return true
            }
        }
        if topic.settings.messagesMax > 0, open + planned >= topic.settings.messagesMax {
            return .refused(.topicFull)
        }
        if isFull { return .refused(.diskFull) }
        if let at = outgoing.deliverAt?.milliseconds, at > wall,
            delayedCount + plan.delayed + topic.subscriptions.count > limits.delayedMax
        {
            return .refused(.delayedLimit)
        }
        return .new
    }

    func add(_ outgoing: OutgoingMessage, to plan: inout Plan) -> MessageID {
        let topic = topics[topicIndex(outgoing.topic.text)!]
        let at = outgoing.deliverAt.map(\.milliseconds).flatMap { $0 > wall ? $0 : nil }
        let message = Message(
            id: MessageID(rawValue: nextMessage + UInt64(plan.messages.count)), priority: outgoing.priority,
            key: outgoing.orderingKey, publishedAt: wall, expiresAt: outgoing.expiresAt?.milliseconds, deliverAt: at)
        if at != nil { plan.delayed += topic.subscriptions.count }
        plan.messages.append((topic.name, message, outgoing.dedupID))
        return message.id
    }

    mutating func publish(_ plan: Plan) {
        for (name, message, dedup) in plan.messages {
            nextMessage = message.id.rawValue + 1
            guard let topic = topicIndex(name) else { continue }
            if let dedup {
                topics[topic].dedup[dedup] = (message.id, wall + topics[topic].settings.dedupWindowMilliseconds)
                while topics[topic].dedup.count > topics[topic].settings.dedupMax,
                    let oldest = topics[topic].dedup.min(by: { $0.value.message < $1.value.message })
                {
                    topics[topic].dedup[oldest.key] = nil
                }
            }
            topics[topic].messages.append(message)
            for second in topics[topic].subscriptions.indices {
                topics[topic].subscriptions[second].slots[message.id] = fresh(message)
            }
        }
    }

    mutating func deleteTopic(_ name: String) -> BrokerError.Code? {
        guard let topic = topicIndex(name) else { return .topicUnknown }
        topics.remove(at: topic)
        endUse { $0 == name && $1 != "" }
        return nil
    }

    mutating func deleteSubscription(_ name: SubscriptionName) -> BrokerError.Code? {
        guard topicIndex(name.topic.text) != nil else { return .topicUnknown }
        guard let at = index(name) else { return .subscriptionUnknown }
        topics[at.topic].subscriptions.remove(at: at.subscription)
        if topics[at.topic].subscriptions.isEmpty {
            topics[at.topic].subscriptions = [Subscription(name: "default", isAsked: false)]
        }
        sweep(at.topic)
        endUse { $0 == name.topic.text && $1 == name.name }
        return nil
    }

    private mutating func endUse(_ isGone: (_ topic: String, _ subscription: String) -> Bool) {
        leases = leases.filter { !isGone($0.value.topic, $0.value.subscription) }
        consumers.removeAll { isGone($0.topic, $0.subscription) }
        pops.removeAll { pop in pop.names.contains { isGone($0.topic.text, $0.name) } }
    }

    mutating func extend(_ id: LeaseID, _ milliseconds: Int64, _ session: UInt64) -> BrokerError.Code? {
        guard (100...12 * 3_600_000).contains(milliseconds) else { return .settingInvalid }
        guard isAlive(id, session), let lease = leases[id],
            let at = index(SubscriptionName("\(lease.topic)@\(lease.subscription)")!)
        else { return .leaseLost }
        let bound = lease.takenAt + settings(at).leaseTotalMilliseconds
        if bound <= monotonic { return .leaseLost }
        leases[id]?.deadline = min(monotonic + milliseconds, bound)
        return nil
    }

    /// Dead letters that a request names; nil when one of them is none.
    func deadLetters(_ at: (topic: Int, subscription: Int), _ ids: [MessageID]) -> [MessageID]? {
        let dead = topics[at.topic].subscriptions[at.subscription].slots.filter {
            if case .dead = $0.value.place { true } else { false }
        }
        if ids.isEmpty { return Array(dead.keys) }
        return ids.allSatisfy { dead[$0] != nil } ? Array(Set(ids)) : nil
    }

    mutating func redrive(_ at: (topic: Int, subscription: Int), _ ids: [MessageID]) {
        for id in ids {
            topics[at.topic].subscriptions[at.subscription].slots[id]?.place = .ready
            topics[at.topic].subscriptions[at.subscription].slots[id]?.waited = nil
            topics[at.topic].subscriptions[at.subscription].slots[id]?.attempts = 0
            topics[at.topic].subscriptions[at.subscription].slots[id]?.deaths = 0
            topics[at.topic].subscriptions[at.subscription].slots[id]?.redrives += 1
        }
    }

    mutating func purge(_ at: (topic: Int, subscription: Int), _ ids: [MessageID]) {
        for id in ids {
            topics[at.topic].subscriptions[at.subscription].slots[id] = nil
            unpark(at, id)
        }
        sweep(at.topic)
    }
}
