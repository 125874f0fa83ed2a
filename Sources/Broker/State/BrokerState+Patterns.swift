import BrokerProtocol

/// How patterns and their members come into being and go.
extension BrokerState {
    /// The subscription or the pattern of this name, made when it is new.
    func ensureSource(_ name: SubscriptionName, start: StartPosition) throws(BrokerError) -> Source {
        if topicsByName[name.topic] == nil && name.topic.isPattern { return try ensurePattern(name, start: start) }
        return try ensureSubscription(name, start: start)
    }

    /// The pattern of this name, made with a member in each topic that matches: one record.
    /// - Parameter start: Of the members in these topics; those of later topics begin at the beginning.
    func ensurePattern(
        _ name: SubscriptionName, start: StartPosition, filter: MessageFilter = .all
    ) throws(BrokerError) -> Pattern {
        if let pattern = patterns[name] { return pattern }
        try demandPattern(name)
        let id = SubscriptionID(rawValue: nextSubscription)
        var facts = [Fact.patternDefined(id, name)]
        if !filter.isEmpty { facts.append(.subscriptionFiltered(id, filter)) }
        var next = nextSubscription + 1
        var bytes = Self.definitionBytes(name.topic.text + name.name) + filter.bytes
        var owing = 0
        var allowance = ReadingAllowance()
        for topic in topics.values.sorted(by: { $0.id < $1.id }) where name.topic.matches(topic.name) {
            try demandMember(name, in: topic)
            var member = SubscriptionID(rawValue: next)
            if filter.isEmpty && topic.subscriptions.count == 1 && topic.subscriptions[0].origin == .implicit {
                member = topic.subscriptions[0].id
            } else {
                next += 1
                bytes += Self.definitionBytes(name.name) + filter.bytes
                if start != .now { owing += topic.messageCount + topic.retained.ids.count }
            }
            facts += try definition(of: name.name, member, in: topic, start, .asked, filter, pattern: id, &allowance)
        }
        try demandDefinitions(bytes: bytes)
        try demandSpace(bytes: bytes, owing: owing)
        try record(facts)
        guard let pattern = patterns[name] else {
            throw BrokerError(.unsupported, "\(name) was defined, and is not there")
        }
        return pattern
    }

    func demandPattern(_ name: SubscriptionName) throws(BrokerError) {
        if name.isDefault {
            throw BrokerError(.nameInvalid, "\(name) stands for many topics; a subscription of them has a name")
        }
        if patterns.all.count >= limits.patternsMax {
            throw BrokerError(
                .subscriptionLimit,
                "there are \(limits.patternsMax) patterns, the limit patterns_max; \(name) was not made"
            )
        }
        for other in patterns.all where other.name.name == name.name && other.name.topic.overlaps(name.topic) {
            throw BrokerError(
                .subscriptionExists, "\(other.name) may stand for the same topics as \(name); take another name")
        }
    }

    private func demandMember(_ name: SubscriptionName, in topic: Topic) throws(BrokerError) {
        if let present = topic.subscriptions.first(where: { $0.name.name == name.name }) {
            throw BrokerError(
                .subscriptionExists, "\(present.name) is no member of \(name); delete it first, or take another name")
        }
        if topic.subscriptions.count >= min(limits.subscriptionsMax, Int(UInt16.max)) {
            throw BrokerError(
                .subscriptionLimit,
                "\(topic.name) has \(topic.subscriptions.count) subscriptions, the limit subscriptions_max")
        }
    }

    /// What reads a new topic: a member of each pattern that matches, or else the implicit `default`.
    func firstReaders(
        of topic: TopicID, _ name: TopicName, _ patterns: [Pattern]
    ) throws(BrokerError) -> [Fact] {
        if patterns.isEmpty { return [implicitDefault(of: topic)] }
        if patterns.count > limits.subscriptionsMax {
            throw BrokerError(
                .subscriptionLimit,
                "\(patterns.count) patterns match \(name), more than subscriptions_max; it was not made")
        }
        var facts: [Fact] = []
        for (index, pattern) in patterns.enumerated() {
            let id = SubscriptionID(rawValue: nextSubscription + UInt32(index))
            facts.append(.memberDefined(id, topic, of: pattern.id, start: .now))
            if !pattern.filter.isEmpty { facts.append(.subscriptionFiltered(id, pattern.filter)) }
        }
        return facts
    }

    /// Deletes a pattern with its members, in one record. A topic that has no other subscription is a plain queue.
    func delete(_ pattern: Pattern) throws(BrokerError) {
        var facts = [Fact.subscriptionDeleted(pattern.id)]
        var next = nextSubscription
        for topic in pattern.members.map(\.topic) where topic.subscriptions.count == 1 {
            facts.append(implicitDefault(of: topic.id, as: SubscriptionID(rawValue: next)))
            next += 1
        }
        let members = pattern.members
        try record(facts)
        for member in members { endConsumers(of: member) }
        endConsumers(of: pattern)
    }

    // MARK: Facts

    func definePattern(_ id: SubscriptionID, _ name: SubscriptionName) {
        nextSubscription = max(nextSubscription, id.rawValue + 1)
        if patterns[id] != nil { return }
        patterns.add(Pattern(id: id, name: name))
        definitionBytes += Self.definitionBytes(name.topic.text + name.name)
    }

    func defineMember(_ id: SubscriptionID, _ topic: TopicID, _ pattern: SubscriptionID, _ start: StartPosition) {
        nextSubscription = max(nextSubscription, id.rawValue + 1)
        guard let pattern = patterns[pattern] else { return }
        defineSubscription(id, topic, pattern.name.name, start, .asked, pattern)
    }

    /// The implicit `default` of a topic becomes a member.
    func join(_ subscription: Subscription, _ pattern: Pattern) {
        pattern.add(subscription)
        follow(subscription)
    }

    func filter(_ pattern: Pattern, _ filter: MessageFilter) {
        if !pattern.filter.isEmpty { return }
        pattern.filter = filter
        definitionBytes += filter.bytes
    }

    func deletePattern(_ pattern: Pattern) {
        for member in pattern.members { deleteSubscription(member.id) }
        patterns.remove(pattern)
        definitionBytes -=
            Self.definitionBytes(pattern.name.topic.text + pattern.name.name) + pattern.filter.bytes
            + (pattern.ownSettings?.changedBytes ?? 0)
    }

    func setSubscription(_ id: SubscriptionID, _ settings: DeliverySettings?) {
        if let pattern = patterns[id] {
            definitionBytes += (settings?.changedBytes ?? 0) - (pattern.ownSettings?.changedBytes ?? 0)
            pattern.ownSettings = settings
            for member in pattern.members where member.ownSettings == nil { follow(member) }
            return
        }
        guard let subscription = subscriptions[id] else { return }
        definitionBytes += (settings?.changedBytes ?? 0) - (subscription.ownSettings?.changedBytes ?? 0)
        subscription.ownSettings = settings
        follow(subscription)
    }

    /// They stand before the topics, whose members name them.
    func patternFacts() -> [Fact] {
        patterns.all.flatMap { pattern in
            var facts = [Fact.patternDefined(pattern.id, pattern.name)]
            if !pattern.filter.isEmpty { facts.append(.subscriptionFiltered(pattern.id, pattern.filter)) }
            if let settings = pattern.ownSettings { facts.append(.subscriptionSet(pattern.id, settings)) }
            if let pause = pattern.ownPause { facts.append(.paused(.subscription(pattern.id), .delivery, pause)) }
            return facts
        }
    }
}
