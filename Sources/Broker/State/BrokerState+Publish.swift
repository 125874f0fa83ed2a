import BrokerProtocol

extension BrokerState {
    /// Log bytes kept free for each verdict that is still to come, so that a full disk never refuses it.
    static let settleBytes = 64

    /// One log record per message, so that each is accepted or refused alone.
    func publish(_ outgoing: [OutgoingMessage], now: Now) -> [Result<PublishReceipt, BrokerError>] {
        var results: [Result<PublishReceipt, BrokerError>] = []
        results.reserveCapacity(outgoing.count)
        for message in outgoing {
            do throws(BrokerError) {
                var plan = PublishPlan()
                let receipt = try decidePublish(message, &plan, now: now)
                try record(plan.facts)
                noteSacrifices(plan)
                results.append(.success(receipt))
            } catch {
                results.append(.failure(error))
            }
        }
        return results
    }

    /// Publishes that go into one record: what they would log, and what they would add.
    struct PublishPlan {
        private var publishes: [Fact] = []
        private var sacrifices: [Fact] = []
        private(set) var bytes = 0
        private(set) var owed = 0
        private(set) var delayed = 0
        private var dedup: [TopicID: [String: MessageID]] = [:]
        private var growths: [TopicID: Growth] = [:]

        /// What a topic has more, or less, of open messages afterwards.
        struct Growth {
            var messages = 0
            var bytes = 0
            /// Messages that were given up, by what happens to them.
            var sacrificed = 0
            /// Those below it were looked at.
            var firstVictim = MessageID(rawValue: 0)
        }

        /// In the order of the log: first what makes room.
        var facts: [Fact] { sacrifices.isEmpty ? publishes : sacrifices + publishes }

        /// - Parameter owing: How many subscriptions want it.
        mutating func add(
            _ message: PublishedMessage, to topic: Topic, owing: Int, bytes size: Int, content: Int
        ) {
            publishes.append(.published(message))
            bytes += size
            owed += owing
            if message.deliverAt != nil { delayed += owing }
            if owing > 0 && topic.isLimited {
                growths[message.topic, default: Growth()].messages += 1
                growths[message.topic]?.bytes += content
            }
            if let dedupID = message.dedupID { dedup[message.topic, default: [:]][dedupID] = message.id }
        }

        /// Gives a message up to make room.
        /// - Parameter freed: Its bytes; nil when somebody still has to deliver it.
        mutating func sacrifice(_ id: MessageID, of topic: Topic, _ facts: [Fact], freed: Int?) {
            sacrifices += facts
            bytes += facts.count * BrokerState.settleBytes
            var growth = growths[topic.id] ?? Growth()
            growth.firstVictim = MessageID(rawValue: id.rawValue + 1)
            growth.sacrificed += 1
            if let freed {
                growth.messages -= 1
                growth.bytes -= freed
            }
            growths[topic.id] = growth
        }

        var count: UInt64 { UInt64(publishes.count) }
        func growth(of topic: Topic) -> Growth { growths.isEmpty ? Growth() : growths[topic.id] ?? Growth() }
        func firstVictim(in topic: Topic) -> MessageID { growth(of: topic).firstVictim }
        /// Topics in which messages were given up, by id.
        var sacrificed: [(topic: TopicID, count: Int)] {
            growths.filter { $0.value.sacrificed > 0 }.map { ($0.key, $0.value.sacrificed) }.sorted { $0.0 < $1.0 }
        }
        func duplicate(of dedupID: String, in topic: Topic) -> MessageID? {
            topic.settings.dedupWindowMilliseconds > 0 ? dedup[topic.id]?[dedupID] : nil
        }
    }

    /// Counts what made room.
    func noteSacrifices(_ plan: PublishPlan) {
        for (id, count) in plan.sacrificed { topics[id]?.sacrificed += UInt64(count) }
    }

    /// Adds a publish to the plan. A new topic is made on the way.
    func decidePublish(
        _ outgoing: OutgoingMessage, _ plan: inout PublishPlan, now: Now
    ) throws(BrokerError) -> PublishReceipt {
        let headerBytes = try check(outgoing)
        let topic = try ensureTopic(outgoing.topic)
        if let dedupID = outgoing.dedupID {
            if let first = topic.duplicate(of: dedupID, now: now.wall) ?? plan.duplicate(of: dedupID, in: topic) {
                return PublishReceipt(id: first, isDuplicate: true)
            }
        }
        try demandIntake(of: topic)
        let owing = topic.readerCount(of: outgoing.headers)
        if owing == 0 { return try decideUnwanted(outgoing, topic, &plan, now: now) }
        let content = topic.isLimited ? outgoing.contentBytes : 0
        if topic.isLimited { try makeRoom(in: topic, bytes: content, &plan, now: now) }
        let size = outgoing.body.count + headerBytes + 512
        try demandSpace(bytes: size + plan.bytes, owing: plan.owed + owing)
        let deliverAt = deliverAt(of: outgoing, now: now)
        if deliverAt != nil && delayedCount + plan.delayed + owing > limits.delayedMax {
            throw BrokerError(.delayedLimit, "\(limits.delayedMax) messages are delayed, the limit delayed_max")
        }
        let message = PublishedMessage(
            id: MessageID(rawValue: nextMessage + plan.count), topic: topic.id, publishedAt: now.wall,
            priority: outgoing.priority, orderingKey: outgoing.orderingKey, deliverAt: deliverAt,
            expiresAt: outgoing.expiresAt,
            dedupID: outgoing.dedupID, headers: outgoing.headers, body: outgoing.body)
        plan.add(message, to: topic, owing: owing, bytes: size, content: content)
        return PublishReceipt(id: message.id)
    }

    /// Nil: at once.
    private func deliverAt(of outgoing: OutgoingMessage, now: Now) -> WallTime? {
        let delayed = outgoing.delayMilliseconds.map { now.wall.adding(milliseconds: $0) }
        let time = max(outgoing.deliverAt ?? now.wall, delayed ?? now.wall)
        return time > now.wall ? time : nil
    }

    /// What can be refused about a message alone.
    /// - Returns: The bytes of its headers.
    @discardableResult
    func check(_ outgoing: OutgoingMessage) throws(BrokerError) -> Int {
        let headerBytes = outgoing.headers.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 }
        if outgoing.body.count > limits.bodyBytesMax {
            throw BrokerError(
                .bodyTooLarge,
                "the body has \(outgoing.body.count) bytes, the limit body_max is \(limits.bodyBytesMax)")
        }
        if headerBytes > limits.headersBytesMax {
            throw BrokerError(
                .headersTooLarge,
                "the headers have \(headerBytes) bytes, the limit headers_max is \(limits.headersBytesMax)")
        }
        if outgoing.priority > 9 {
            throw BrokerError(.settingInvalid, "priority \(outgoing.priority) is not 0 to 9")
        }
        if let dedupID = outgoing.dedupID, !(1...255).contains(dedupID.utf8.count) {
            throw BrokerError(.settingInvalid, "a dedup id has 1 to 255 bytes")
        }
        if let key = outgoing.orderingKey, !(1...255).contains(key.utf8.count) {
            throw BrokerError(.settingInvalid, "an ordering key has 1 to 255 bytes")
        }
        return headerBytes
    }

    /// The topic of this name, made with what reads it first when it is new.
    func ensureTopic(_ name: TopicName, settings: TopicSettings? = nil) throws(BrokerError) -> Topic {
        if let topic = topicsByName[name] { return topic }
        if name.isPattern {
            throw BrokerError(.nameInvalid, "\(name) stands for many topics; it is the name of none")
        }
        if topics.count >= limits.topicsMax {
            throw BrokerError(
                .topicLimit, "there are \(limits.topicsMax) topics, the limit topics_max; \(name) was not made")
        }
        let settings = settings ?? limits.defaults
        let id = TopicID(rawValue: nextTopic)
        let matching = patterns.matching(name)
        let readers = try firstReaders(of: id, name, matching)
        let readerBytes = matching.reduce(Self.definitionBytes(SubscriptionName.defaultName)) {
            $0 + Self.definitionBytes($1.name.name) + $1.filter.bytes
        }
        try demandDefinitions(bytes: Self.definitionBytes(name.text) + settings.changedBytes + readerBytes)
        try record([.topicDefined(id, name, settings)] + readers)
        return try topic(name)
    }

    /// A topic without a named subscription has this one.
    func implicitDefault(of topic: TopicID, as id: SubscriptionID? = nil) -> Fact {
        .subscriptionDefined(
            id ?? SubscriptionID(rawValue: nextSubscription), topic, name: SubscriptionName.defaultName, start: .now,
            .implicit)
    }

    /// Log bytes that the definition of a topic or a subscription takes, without its settings.
    static func definitionBytes(_ name: String) -> Int { 100 + name.utf8.count }

    /// - Parameter bytes: Of the new definitions.
    /// - Throws: `TOPIC_LIMIT` when all definitions would take more than a quarter of a segment, or more than 4 MiB:
    ///   they stand in one record with what opens the segment. `DISK_FULL`.
    func demandDefinitions(bytes: Int) throws(BrokerError) {
        let bytesMax = min(Int(segmentBytes / 4), 4 << 20)
        if definitionBytes + bytes > bytesMax {
            throw BrokerError(
                .topicLimit, "the definitions of all topics and subscriptions have reached \(bytesMax) bytes, the limit"
            )
        }
        try demandSpace(bytes: bytes)
    }

    /// The subscription of this name, made when it is new. The first named one of a topic takes over the implicit
    /// `default` with what waits there; a `default` that somebody asked for stays beside the named ones.
    /// - Parameter filter: Of a new one. What it gets of the older messages is then read in pieces.
    func ensureSubscription(
        _ name: SubscriptionName, start: StartPosition, filter: MessageFilter = .all
    ) throws(BrokerError) -> Subscription {
        let topic = try ensureTopic(name.topic)
        if let existing = subscription(named: name) {
            return existing.origin == .implicit ? try define(name, existing.id, start, .asked) : existing
        }
        if filter.isEmpty && topic.subscriptions.count == 1, topic.subscriptions[0].origin == .implicit {
            return try define(name, topic.subscriptions[0].id, start, .asked)
        }
        if topic.subscriptions.count >= min(limits.subscriptionsMax, Int(UInt16.max)) {
            throw BrokerError(
                .subscriptionLimit,
                "\(name.topic) has \(topic.subscriptions.count) subscriptions, the limit subscriptions_max")
        }
        let bytes = Self.definitionBytes(name.name) + filter.bytes
        try demandDefinitions(bytes: bytes)
        try demandSpace(bytes: bytes, owing: start == .now ? 0 : topic.messageCount + topic.retained.ids.count)
        return try define(name, SubscriptionID(rawValue: nextSubscription), start, .asked, filter)
    }

    private func define(
        _ name: SubscriptionName, _ id: SubscriptionID, _ start: StartPosition, _ origin: SubscriptionOrigin,
        _ filter: MessageFilter = .all
    ) throws(BrokerError) -> Subscription {
        let topic = try topic(name.topic)
        var allowance = ReadingAllowance()
        try record(try definition(of: name.name, id, in: topic, start, origin, filter, &allowance))
        return try existing(name)
    }

    /// Finds the first message of a time now, because the wall clock may have jumped between the messages, and because
    /// the log may have forgotten that message when it is replayed.
    func first(_ start: StartPosition, in topic: Topic) -> StartPosition {
        guard case .time(let time) = start else { return start }
        var first: MessageID?
        func look(at id: MessageID) {
            if let entry = messages[id], entry.publishedAt >= time { first = min(first ?? id, id) }
        }
        for lane in topic.lanes { lane.from(lane.start).forEach(look) }
        topic.retained.ids.from().forEach(look)
        for subscription in topic.subscriptions { subscription.slots.keys.forEach(look) }
        return first.map { .message($0) } ?? .now
    }
}
