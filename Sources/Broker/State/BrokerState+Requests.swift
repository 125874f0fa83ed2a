import BrokerProtocol

extension BrokerState {
    /// Answers one request of a session; the answer is an effect.
    func handle(_ request: Request, from origin: Origin, now: Now) {
        do throws(BrokerError) {
            if let response = try answer(request, origin, now) { respond(origin, response) }
        } catch {
            respond(origin, .refused(error))
        }
    }

    /// - Returns: Nil when the answer comes later or needs bodies from the log.
    private func answer(_ request: Request, _ origin: Origin, _ now: Now) throws(BrokerError) -> Response? {
        switch request {
        case .hello: throw BrokerError(.malformedFrame, "HELLO comes once, first")
        case .ping: return .done
        case .publish(let messages):
            return isDraining
                ? .published(messages.map { _ in .failure(Self.draining) })
                : .published(publish(messages, now: now))
        case .commit(let publishes, let settlements):
            return .committed(
                try commit(publishes: publishes, settlements: settlements, session: origin.session, now: now))
        case .subscribe(let consumer, let name, let credit, let start, let lease):
            if isDraining { throw Self.draining }
            let key = ConsumerKey(session: origin.session, consumer: consumer)
            try subscribe(key, to: name, credit: credit, start: start, leaseMilliseconds: lease)
            return .done
        case .credit(let consumer, let credit):
            try setCredit(ConsumerKey(session: origin.session, consumer: consumer), credit)
            return .done
        case .unsubscribe(let consumer):
            try unsubscribe(ConsumerKey(session: origin.session, consumer: consumer))
            return .done
        case .settle(let settlements): return .settled(settle(settlements, session: origin.session, now: now))
        case .extend(let leases, let milliseconds):
            return .settled(extend(leases, milliseconds: milliseconds, session: origin.session, now: now))
        case .pop(let names, let timeout, let acknowledges):
            try pop(names, timeoutMilliseconds: timeout, acknowledges: acknowledges, origin: origin, now: now)
            return nil
        default: return try administer(request, origin, now)
        }
    }

    static let draining = BrokerError(.shuttingDown, "the broker is shutting down; connect again later")

    private func administer(_ request: Request, _ origin: Origin, _ now: Now) throws(BrokerError) -> Response? {
        switch request {
        case .topicCreate(let name, let settings):
            try settings.validate()
            if topicsByName[name] != nil { throw BrokerError(.topicExists, "the topic \(name) exists") }
            _ = try ensureTopic(name, settings: settings)
            return .done
        case .topicSet(let name, let settings):
            try settings.validate()
            try record([.topicDefined(try known(name).id, name, settings)])
            return .done
        case .topicDelete(let name):
            let topic = try known(name)
            endConsumers(of: topic.subscriptions)
            try record([.topicDeleted(topic.id)])
            return .done
        case .topicList: return .topics(topicStatuses())
        case .subscriptionCreate(let name, let start):
            _ = try ensureSubscription(name, start: start)
            return .done
        case .subscriptionSet(let name, let settings):
            try settings?.validate()
            try record([.subscriptionSet(try known(name).id, settings)])
            return .done
        case .subscriptionDelete(let name):
            let subscription = try known(name)
            endConsumers(of: [subscription.id])
            try record([.subscriptionDeleted(subscription.id)])
            return .done
        case .status: return .status(status())
        case .peek(let name, let from, let limit):
            emit(.answerPeek(origin, peek(try known(name), from: from, limit: limit)))
            return nil
        case .deadList(let name, let from, let limit):
            emit(.answerDead(origin, deadNotices(try known(name), from: from, limit: limit)))
            return nil
        case .deadRedrive(let name, let ids):
            let (subscription, dead) = try deadLetters(name, ids)
            try record(dead.isEmpty ? [] : [.redriven(subscription.id, dead)])
            return .count(UInt64(dead.count))
        case .deadPurge(let name, let ids):
            let (subscription, dead) = try deadLetters(name, ids)
            try record(dead.isEmpty ? [] : [.purged(subscription.id, dead)])
            return .count(UInt64(dead.count))
        default: throw BrokerError(.unsupported, "this broker does not know the request")
        }
    }

    private func known(_ name: TopicName) throws(BrokerError) -> Topic {
        guard let topic = topic(named: name) else { throw BrokerError(.topicUnknown, "there is no topic \(name)") }
        return topic
    }

    private func known(_ name: SubscriptionName) throws(BrokerError) -> Subscription {
        guard topicsByName[name.topic] != nil else {
            throw BrokerError(.topicUnknown, "there is no topic \(name.topic)")
        }
        guard let subscription = subscription(named: name) else {
            throw BrokerError(.subscriptionUnknown, "there is no subscription \(name.topic)@\(name.name)")
        }
        return subscription
    }

    private func deadLetters(
        _ name: SubscriptionName, _ ids: [MessageID]
    ) throws(BrokerError) -> (Subscription, [MessageID]) {
        let subscription = try known(name)
        if ids.isEmpty { return (subscription, subscription.deadLetters()) }
        for id in ids where subscription.slots[id]?.place != .dead {
            throw BrokerError(.messageUnknown, "\(name) has no dead letter \(id); nothing was changed")
        }
        return (subscription, ids)
    }

    private func endConsumers(of ids: [SubscriptionID]) {
        let gone = BrokerError(.subscriptionUnknown, "the subscription was deleted")
        for id in ids {
            for lease in leases.values.filter({ $0.subscription == id }).sorted(by: { $0.id < $1.id }) { end(lease) }
            for key in subscriptions[id]?.waiting ?? [] {
                if let pop = removePop(key.pop, of: key.session) { respond(pop.origin, .refused(gone)) }
            }
            for key in subscriptions[id]?.consumers ?? [] {
                sessions[key.session]?.consumers[key.consumer] = nil
                emit(.endConsumer(key.session, key.consumer, gone))
            }
            subscriptions[id]?.consumers = []
        }
    }

    /// No new deliveries from here on; what is leased may still be settled.
    func drain() {
        isDraining = true
        for session in sessions.keys.sorted() {
            for number in sessions[session]?.pops.keys.sorted() ?? [] {
                if let pop = removePop(number, of: session) { respond(pop.origin, .refused(Self.draining)) }
            }
        }
    }
}
