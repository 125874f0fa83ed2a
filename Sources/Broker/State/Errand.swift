import BrokerProtocol

/// What a Redis client wants with the messages that it waits for.
enum Errand {
    /// The first message, acknowledged; the answer names the key. Keys stand beside the pop's subscriptions.
    case pop(keys: [[UInt8]])
    /// The first message goes to the end of another topic, in one record.
    case move(to: TopicName, view: ListView)
    /// Up to `count` messages of one subscription under leases of the connection.
    case take(keys: [[UInt8]], leaseMilliseconds: Int64?, count: Int)
    /// Up to `count` messages of one subscription for a consumer of a group, or acknowledged when `consumer` is nil.
    case readGroup(keys: [[UInt8]], consumer: String, acknowledges: Bool, count: Int)
    /// Up to `count` entries of each stream behind a position; nobody's messages change.
    case read([StreamReader], count: Int)

    /// How far a client has read one stream.
    struct StreamReader {
        let key: [UInt8]
        let topic: TopicName
        /// The first id that it has not seen.
        let from: StreamBound
    }
}

/// How a topic looks as a Redis list: with a push to the left the newest message has index 0, with a push to the right
/// the oldest. Pops take the oldest in both cases.
enum ListView: Hashable, Sendable {
    case newestFirst
    case oldestFirst
    /// Written by `XADD`; as a list, the oldest has index 0.
    case stream
}

/// The time and the message id that make a stream's entry id.
struct StreamPosition: Hashable, Sendable {
    let time: WallTime
    let message: MessageID
}

/// One end of a range of a stream, itself included.
enum StreamBound: Hashable, Sendable {
    case message(MessageID)
    /// Messages that were published at this time or later; or earlier, for an upper end.
    case time(WallTime)
}

extension BrokerState {
    /// - Returns: Nil when there is nothing for the errand yet.
    func perform(
        _ errand: Errand, of pop: WaitingPop, from subscription: Subscription, _ session: Session, now: Now
    ) -> RedisReply? {
        let index = pop.sources.firstIndex { $0 === subscription } ?? 0
        return perform(errand, index: index, from: subscription, session, now: now)
    }

    /// - Parameter index: Of the subscription among those of the errand.
    func perform(
        _ errand: Errand, index: Int, from subscription: Subscription, _ session: Session, now: Now
    ) -> RedisReply? {
        switch errand {
        case .pop(let keys):
            guard let notice = take(from: subscription, session, nil, acknowledges: true, now: now) else { return nil }
            return .array([.bulk(keys[index]), .body(notice)])
        case .move(let topic, let view):
            return moveFirst(of: subscription, to: topic, view: view, now: now)
        case .take(let keys, let lease, let count):
            var taken: [RedisReply] = []
            var bytes = 0
            while taken.count < count, bytes < limits.replyBytesMax,
                session.leases.count < limits.leasesPerConnectionMax,
                let notice = take(
                    from: subscription, session, nil, acknowledges: false, leaseMilliseconds: lease, now: now)
            {
                bytes += Int(notice.bytes)
                taken.append(.taken(notice, key: keys[index]))
            }
            return taken.isEmpty ? nil : .array(taken)
        case .readGroup(let keys, let name, let acknowledges, let count):
            let entries = readGroup(subscription, name, acknowledges: acknowledges, count: count, now: now)
            return entries.isEmpty ? nil : .streams([.init(key: keys[index], entries: entries)])
        case .read: return nil
        }
    }

    /// One record: the message is published to another topic and acknowledged here.
    /// - Returns: Nil when nothing is ready.
    func moveFirst(of subscription: Subscription, to topic: TopicName, view: ListView, now: Now) -> RedisReply? {
        guard let (id, entry) = candidate(of: subscription, now: now) else { return nil }
        do throws(BrokerError) {
            let message = try self.message(at: entry.address)
            let copy = OutgoingMessage(
                topic: topic, body: message.body, headers: message.headers, priority: message.priority,
                orderingKey: message.orderingKey, expiresAt: message.expiresAt)
            var plan = PublishPlan()
            _ = try decidePublish(copy, &plan, now: now)
            noteServed(id, of: subscription, nil, now: now)
            try record([.acknowledged(subscription.id, [id])] + plan.facts)
            noteSacrifices(plan)
            subscription.delivered += 1
            totals.delivered += 1
            topicsByName[topic]?.view = view
            return .bulk(message.body)
        } catch {
            return .error(RESPError(error))
        }
    }

    /// Gives readers of streams the entries that were published since the last time.
    func serveReaders() {
        if readers.isEmpty || publishedForReaders == totals.published { return }
        publishedForReaders = totals.published
        for reader in readers {
            guard case .read(let streams, let count)? = reader.errand, let session = sessions[reader.origin.session],
                let reply = read(streams, count: count)
            else { continue }
            _ = removePop(reader.number, of: session)
            emit(.answerRedis(session.id, reply))
        }
    }

    /// - Returns: Nil when no stream has an entry.
    func read(_ streams: [Errand.StreamReader], count: Int) -> RedisReply? {
        var found: [RedisReply.Stream] = []
        var bytes = 0
        for stream in streams {
            guard let topic = topicsByName[stream.topic] else { continue }
            var entries: [RedisReply] = []
            for id in self.entries(of: topic, from: stream.from, limit: count) where bytes < limits.replyBytesMax {
                guard let notice = notice(of: id) else { continue }
                bytes += Int(notice.bytes)
                entries.append(.entry(notice))
            }
            if !entries.isEmpty { found.append(.init(key: stream.key, entries: entries)) }
        }
        return found.isEmpty ? nil : .streams(found)
    }

    func entryReply(_ id: MessageID) -> RedisReply? { notice(of: id).map { .entry($0) } }

    /// Enough to read a live message from the log.
    func notice(of id: MessageID) -> Notice? {
        guard let entry = messages[id], let topic = topics[entry.topic] else { return nil }
        return Notice(
            id: id, subscription: SubscriptionName(topic: topic.name), address: entry.address, bytes: entry.bytes)
    }

    // MARK: Waits that end without a message

    func timeOut(_ pop: WaitingPop) {
        if pop.errand == nil {
            respond(pop.origin, pop.fetch == nil ? .popped(nil) : .fetched([]))
        } else {
            emit(.answerRedis(pop.origin.session, .value(.nullArray)))
        }
    }

    /// A Redis client that waits while the broker stops is hung up on: a library connects again then, while an error
    /// reply would reach the program.
    func refuse(_ pop: WaitingPop, _ error: BrokerError) {
        switch pop.errand {
        case nil: respond(pop.origin, .refused(error))
        case _ where error.code == .shuttingDown: emit(.hangUp(pop.origin.session))
        case .readGroup?:
            emit(
                .answerRedis(
                    pop.origin.session, .error("NOGROUP the consumer group this client was blocked on no longer exists")
                ))
        case _?: emit(.answerRedis(pop.origin.session, .error(RESPError(error))))
        }
    }
}
