import BrokerProtocol

extension BrokerState {
    /// Answers one request of a session; the answer is an effect.
    func handle(_ request: Request, from origin: Origin, now: Now) {
        guard let session = sessions[origin.session] else { return }
        do throws(BrokerError) {
            if let response = try answer(request, session, origin, now) { respond(origin, response) }
        } catch {
            respond(origin, .refused(error))
        }
    }

    /// - Returns: Nil when the answer comes later or needs bodies from the log.
    private func answer(
        _ request: Request, _ session: Session, _ origin: Origin, _ now: Now
    ) throws(BrokerError) -> Response? {
        switch request {
        case .hello: throw BrokerError(.malformedFrame, "HELLO comes once, first")
        case .ping: return .done
        case .publish(let messages):
            return isDraining
                ? .published(messages.map { _ in .failure(Self.draining) })
                : .published(publish(messages, now: now))
        case .commit(let publishes, let settlements):
            return .committed(
                try commit(publishes: publishes, settlements: settlements, session: session.id, now: now))
        case .subscribe(let consumer, let name, let credit, let start, let lease, let weight):
            if isDraining { throw Self.draining }
            try subscribe(
                consumer, session, to: name, credit: credit, start: start, leaseMilliseconds: lease, weight: weight)
            return .done
        case .credit(let consumer, let credit):
            try setCredit(consumer, session, credit)
            return .done
        case .unsubscribe(let consumer):
            try unsubscribe(consumer, session)
            return .done
        case .settle(let settlements): return .settled(settle(settlements, session: session.id, now: now))
        case .extend(let leases, let milliseconds):
            return .settled(extend(leases, milliseconds: milliseconds, session: session.id, now: now))
        case .pop(let names, let timeout, let acknowledges):
            try pop(
                names, timeoutMilliseconds: timeout, acknowledges: acknowledges, session, origin: origin, now: now)
            return nil
        case .fetch(let fetch):
            try self.fetch(fetch, session, origin: origin, now: now)
            return nil
        case .subscriptionCreate(let name, let start, let filter):
            return try create(name, start: start, filter: filter, origin: origin)
        case .rewind(let name, let start): return try rewind(name, to: start, origin: origin)
        case .topicCreate, .topicSet, .topicDelete, .subscriptionSet, .subscriptionDelete, .keyRelease:
            return try administer(request)
        case .deadRedrive(let name, let selection, let rate):
            return rate == 0 || selection.isDryRun
                ? try sweep(name, selection, isRedrive: true, origin)
                : try startJob(name, selection, rate: rate, now: now)
        case .deadPurge(let name, let selection): return try sweep(name, selection, isRedrive: false, origin)
        case .deadJobs: return .deadJobs(jobDescriptions())
        case .deadJobCancel(let id):
            try cancelJob(id)
            return .done
        case .browse(let name, let query):
            emit(.answerBrowse(origin, try browse(try existing(name), query, now: now)))
            return nil
        case .delete(let name, let ids): return .settled(try delete(ids, from: try existing(name)))
        case .cancel, .reschedule, .scheduleSet, .scheduleDelete, .scheduleList, .schedulePause, .scheduleResume,
            .pause,
            .resume:
            return try answerTimed(request, now)
        case .keyList(let name, let after, let limit, let parkedOnly):
            return .keys(keyStatuses(of: try existing(name), after: after, limit: limit, parkedOnly: parkedOnly))
        case .topicList: return .topics(topicStatuses() + patternStatuses())
        case .status: return .status(status())
        case .peek(let name, let from, let limit):
            emit(.answerPeek(origin, peek(try topic(name), from: from, limit: limit)))
            return nil
        case .history(let query, let limit):
            guard (1...10_000).contains(limit) else {
                throw BrokerError(.batchTooLarge, "a history has 1 to 10000 events, not \(limit)")
            }
            emit(.searchHistory(origin, query, limit: limit))
            return nil
        case .deadList(let name, let from, let limit):
            emit(.answerDead(origin, deadNotices(try members(of: name), from: from, limit: limit)))
            return nil
        }
    }

    private func administer(_ request: Request) throws(BrokerError) -> Response {
        switch request {
        case .topicCreate(let name, let settings):
            try settings.validate()
            if topicsByName[name] != nil { throw BrokerError(.topicExists, "the topic \(name) exists") }
            _ = try ensureTopic(name, settings: settings)
        case .topicSet(let name, let settings):
            try settings.validate()
            let (id, old) = (try topic(name).id, try topic(name).settings)
            try demandDefinitions(bytes: max(settings.changedBytes - old.changedBytes, 0))
            try demandSpace(bytes: Self.definitionBytes(name.text) + settings.changedBytes)
            try record([.topicDefined(id, name, settings)])
        case .topicDelete(let name):
            let topic = try topic(name)
            let subscriptions = topic.subscriptions
            try record([.topicDeleted(topic.id)])
            for subscription in subscriptions { endConsumers(of: subscription) }
        case .subscriptionSet(let name, let settings):
            try settings?.validate()
            let (id, old) = try owner(named: name)
            let bytes = settings?.changedBytes ?? 0
            try demandDefinitions(bytes: max(bytes - (old?.changedBytes ?? 0), 0))
            try demandSpace(bytes: Self.definitionBytes(name.name) + bytes)
            try record([.subscriptionSet(id, settings)])
        case .subscriptionDelete(let name):
            try deleteSubscription(name)
        case .keyRelease(let name, let keys):
            var count: UInt64 = 0
            for member in try members(of: name) { count += try release(keys, of: member) }
            return .count(count)
        default: throw BrokerError(.unsupported, "this is no request of administration")
        }
        return .done
    }

    func deleteSubscription(_ name: SubscriptionName) throws(BrokerError) {
        if let pattern = patterns[name] { return try delete(pattern) }
        let subscription = try existing(name)
        try demandNoMember(subscription)
        let isLast = subscription.topic.subscriptions.count == 1
        try record(
            [.subscriptionDeleted(subscription.id)] + (isLast ? [implicitDefault(of: subscription.topic.id)] : []))
        endConsumers(of: subscription)
    }

    /// One record for each 10,000 messages, because a record has a limit.
    /// - Returns: How many messages are done; fewer than given when the log became full on the way.
    func recordInPieces(_ ids: [MessageID], _ fact: ([MessageID]) -> Fact) throws(BrokerError) -> UInt64 {
        var done = 0
        while done < ids.count {
            let piece = Array(ids[done..<min(done + Self.messagesPerFact, ids.count)])
            do throws(BrokerError) {
                try record([fact(piece)])
            } catch {
                if done > 0 { break }
                throw error
            }
            done += piece.count
        }
        return UInt64(done)
    }

    func endConsumers(of source: Source) {
        let gone = BrokerError(.subscriptionUnknown, "the subscription \(source.name) was deleted")
        for pop in source.waiting {
            guard let session = sessions[pop.origin.session] else { continue }
            if removePop(pop.number, of: session) != nil { refuse(pop, gone) }
        }
        if let subscription = source as? Subscription { refuseTickets(of: subscription, gone) }
        for consumer in source.consumers {
            consumer.session.consumers[consumer.id] = nil
            emit(.endConsumer(consumer.session.id, consumer.id, gone))
        }
        source.endConsumers()
    }

    /// Defines topics, and changes their settings and those of subscriptions.
    /// - Throws: `SETTING_INVALID`, or a limit; nothing is changed then.
    func configure(
        topics wanted: [(TopicName, TopicSettings)], subscriptions: [(SubscriptionName, DeliverySettings)]
    ) throws(BrokerError) {
        for (_, settings) in wanted { try settings.validate() }
        for (name, settings) in subscriptions {
            try settings.validate()
            if name.topic.isPattern && patterns[name] == nil { try demandPattern(name) }
        }
        let names = Set(wanted.map(\.0) + subscriptions.map(\.0.topic).filter { !$0.isPattern })
        let new = names.filter { topicsByName[$0] == nil }
        if topics.count + new.count > limits.topicsMax {
            throw BrokerError(.topicLimit, "the configuration names more topics than topics_max")
        }
        for name in subscriptions.map(\.0.topic) where !name.isPattern {
            let present = topicsByName[name]?.subscriptions.filter { $0.origin == .asked }.map(\.name.name) ?? []
            let named = subscriptions.filter { $0.0.topic == name }.map(\.0.name)
            if Set(present + named).count > limits.subscriptionsMax {
                throw BrokerError(
                    .subscriptionLimit, "the configuration gives \(name) more subscriptions than subscriptions_max")
            }
        }
        let newSubscriptions = Set(
            subscriptions.map(\.0).filter { !$0.topic.isPattern && subscription(named: $0) == nil })
        if !new.isEmpty || !newSubscriptions.isEmpty {
            let names = new.flatMap { [$0.text, SubscriptionName.defaultName] } + newSubscriptions.map(\.name)
            let bytes = names.reduce(0) { $0 + Self.definitionBytes($1) }
            let owing = newSubscriptions.reduce(0) { $0 + (topicsByName[$1.topic]?.messageCount ?? 0) }
            try demandDefinitions(bytes: bytes)
            try demandSpace(bytes: bytes, owing: owing)
        }
        for (name, settings) in wanted { _ = try ensureTopic(name, settings: settings) }
        var facts: [Fact] = []
        for (name, settings) in wanted {
            let topic = try topic(name)
            if topic.settings != settings { facts.append(.topicDefined(topic.id, name, settings)) }
        }
        for (name, settings) in subscriptions {
            _ = try ensureSource(name, start: .beginning)
            let (id, old) = try owner(named: name)
            if old != settings { facts.append(.subscriptionSet(id, settings)) }
        }
        try record(facts)
    }
}
