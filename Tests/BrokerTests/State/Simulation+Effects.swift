import BrokerProtocol

@testable import Broker

/// What leaves the state without being asked for at this moment, and what must agree after each step.
extension Simulation {
    func accept(_ effect: Effect) throws {
        switch effect {
        case .deliver(let session, let notice): try acceptDelivery(notice, session.rawValue)
        case .answerPop(let origin, let notice): try acceptPop(origin, notice)
        case .respond(let origin, .popped(nil)):
            let pop = model.pops.first { $0.correlation == origin.correlation }
            try demand("timeout of a pop", pop?.deadline.map { $0 <= model.monotonic }, true)
            model.pops.removeAll { $0.correlation == origin.correlation }
        case .recycle(let segment):
            journal.sync()
            journal.recycle(before: segment)
            moments = [(journal.end, model)]
        default: throw Disagreement(description: "nobody asked for \(effect)")
        }
    }

    private func acceptDelivery(_ notice: Notice, _ session: UInt64) throws {
        guard
            let consumer = model.consumers.first(where: {
                $0.session == session && $0.number == notice.consumer.rawValue
            })
        else { throw Disagreement(description: "a delivery to a consumer that is none: \(notice)") }
        try demand(
            "its subscription", "\(notice.subscription.topic)@\(notice.subscription.name)",
            "\(consumer.topic)@\(consumer.subscription)")
        try demand("there is credit", model.unsettled(consumer.token) < consumer.credit, true)
        try demand("there is room", model.holds(session) < Self.limits.leasesPerConnectionMax, true)
        try demand("pops go first", model.pops.contains { $0.names.contains(notice.subscription) }, false)
        try acceptLease(notice, session, consumer.token, consumer.lease)
    }

    private func acceptPop(_ origin: Origin, _ notice: Notice) throws {
        let first = model.pops.first { $0.names.contains(notice.subscription) }
        guard let pop = first, pop.correlation == origin.correlation else {
            throw Disagreement(description: "pop \(origin.correlation) was served out of its turn")
        }
        model.pops.removeAll { $0.correlation == pop.correlation }
        try acceptPopped(notice, pop.session, acknowledges: pop.acknowledges)
    }

    func acceptPopped(_ notice: Notice, _ session: UInt64, acknowledges: Bool) throws {
        if !acknowledges { return try acceptLease(notice, session, nil, nil) }
        try acceptNext(notice)
        try demand("lease of an acknowledged one", notice.lease, LeaseID(rawValue: 0))
        model.forget(notice.subscription.topic.text, notice.subscription.name, notice.id)
    }

    /// It must be the first of its subscription, as it is remembered; expired ones before it are dead.
    private func acceptNext(_ notice: Notice) throws {
        guard let at = model.index(notice.subscription) else {
            throw Disagreement(description: "\(notice.subscription) is unknown")
        }
        guard let next = model.takeNext(at) else {
            throw Disagreement(description: "nothing was ready for \(notice)")
        }
        try demand("the next message", notice.id, next.id)
        let slot = model.topics[at.topic].subscriptions[at.subscription].slots[next.id]!
        try demand("attempt of \(next.id)", notice.attempt, slot.attempts + 1)
        try demand("redrives of \(next.id)", notice.redrives, slot.redrives)
        try demand("last error of \(next.id)", notice.lastError, slot.lastError)
        let payload = journal.payload(at: notice.address.position) ?? []
        try demand("body of \(next.id)", try FactCodec.message(in: payload, at: notice.address.offset).id, next.id)
    }

    private func acceptLease(_ notice: Notice, _ session: UInt64, _ consumer: Int?, _ own: Int64?) throws {
        try acceptNext(notice)
        let at = model.index(notice.subscription)!
        let settings = model.settings(at)
        let duration = min(own ?? settings.leaseMilliseconds, settings.leaseTotalMilliseconds)
        try demand("a new lease", notice.lease > leaseMax, true)
        try demand("its time", notice.leaseMilliseconds, duration)
        leaseMax = notice.lease
        oldLeases.append(notice.lease)
        let (topic, name) = (notice.subscription.topic.text, notice.subscription.name)
        model.change(topic, name, notice.id) { slot in
            slot.place = .leased(notice.lease)
            slot.waited = nil
            slot.holdsKey = true
            slot.attempts += 1
        }
        model.leases[notice.lease] = Model.Lease(
            session: session, consumer: consumer, topic: topic, subscription: name, message: notice.id,
            takenAt: model.monotonic, deadline: model.monotonic + duration)
    }

    /// After a dispatch whoever waits has nothing to wait for; what is ready and expired met its end on the way.
    func demandNothingLeft() throws {
        for topic in model.topics.indices {
            for second in model.topics[topic].subscriptions.indices {
                let name = SubscriptionName(
                    "\(model.topics[topic].name)@\(model.topics[topic].subscriptions[second].name)")!
                let hasTaker =
                    model.pops.contains { $0.names.contains(name) }
                    || model.consumers.contains { consumer in
                        consumer.topic == name.topic.text && consumer.subscription == name.name
                            && model.unsettled(consumer.token) < consumer.credit
                            && model.holds(consumer.session) < Self.limits.leasesPerConnectionMax
                    }
                if hasTaker {
                    try demand("left for a waiting taker of \(name)", nil, model.takeNext((topic, second))?.id)
                } else {
                    // There may have been one in the middle of the dispatch.
                    adoptExpired((topic, second))
                }
            }
        }
    }

    /// An expired message may die as soon as somebody looks at it.
    func adoptExpired(_ at: (topic: Int, subscription: Int)) {
        let (topic, subscription) = (
            model.topics[at.topic].name, model.topics[at.topic].subscriptions[at.subscription].name
        )
        let real = state.subscription(named: SubscriptionName("\(topic)@\(subscription)")!)
        for message in model.ready(at) where model.isOver(message, at) {
            if real?.slots[message.id]?.deathReason == "expired" || state.messages[message.id] == nil {
                model.end(topic, subscription, message.id)
            }
        }
    }

    /// Looks up the delays that were drawn at random since the last look.
    func lookUpDrawn() throws {
        for topic in model.topics.indices {
            for second in model.topics[topic].subscriptions.indices {
                let subscription = model.topics[topic].subscriptions[second]
                for (id, slot) in subscription.slots {
                    guard case .drawing(let range) = slot.place else { continue }
                    let real = state.subscription(
                        named: SubscriptionName("\(model.topics[topic].name)@\(subscription.name)")!)?.slots[id]?.place
                    switch real {
                    case .delayed(let until):
                        try demand("drawn inside \(range): \(until)", range.contains(until.milliseconds), true)
                        model.topics[topic].subscriptions[second].slots[id]?.place = .delayed(
                            until: until.milliseconds, byWallClock: false)
                    case .ready, .blocked:
                        model.topics[topic].subscriptions[second].slots[id]?.place = .ready
                        model.topics[topic].subscriptions[second].slots[id]?.waited = .delayed(
                            until: range.lowerBound, byWallClock: false)
                    default: throw Disagreement(description: "\(id) should wait for its retry, but is \(real as Any)")
                    }
                }
            }
        }
    }

    // MARK: Comparing

    func compare() throws {
        try lookUpDrawn()
        try demand("recount", state.disagreements(), [])
        try demand("topics", Set(state.topicsByName.keys.map(\.text)), Set(model.topics.map(\.name)))
        try demand("leases", Set(state.leases.keys), Set(model.leases.keys))
        for (id, lease) in model.leases { try demand("deadline of \(id)", state.leases[id]?.deadline, lease.deadline) }
        try demand("waiting pops", state.waitingPopCount, model.pops.count)
        for topic in model.topics {
            guard let real = state.topicsByName[TopicName(topic.name)!] else { continue }
            try demand("messages of \(topic.name)", real.messageCount, topic.messages.count)
            try demand("settings of \(topic.name)", real.settings, topic.settings)
            try demand(
                "subscriptions of \(topic.name)", real.subscriptions.map(\.name.name), topic.subscriptions.map(\.name))
            for (subscription, realOne) in zip(topic.subscriptions, real.subscriptions) {
                try compare(topic, subscription, realOne)
            }
        }
    }

    private func compare(_ topic: Model.Topic, _ subscription: Model.Subscription, _ real: Subscription) throws {
        let name = "\(topic.name)@\(subscription.name)"
        try demand("origin of \(name)", real.origin == .asked, subscription.isAsked)
        try demand("settings of \(name)", real.ownSettings, subscription.own)
        try compareTimeAndKeys(topic, subscription, real)
        for message in topic.messages {
            guard let entry = state.messages[message.id] else {
                throw Disagreement(description: "\(message.id) of \(topic.name) is lost")
            }
            guard let slot = subscription.slots[message.id] else {
                try demand("\(name) owes \(message.id)", real.owes(message.id, entry), false)
                continue
            }
            let there = real.slots[message.id]
            if there == nil { try demand("\(name) owes \(message.id)", real.owes(message.id, entry), true) }
            try demand("attempts of \(name) \(message.id)", there?.attempts ?? 0, slot.attempts)
            try demand("deaths of \(name) \(message.id)", UInt32(there?.deaths ?? 0), slot.deaths)
            try demand("redrives of \(name) \(message.id)", UInt32(there?.redrives ?? 0), slot.redrives)
            try demand("error of \(name) \(message.id)", there?.lastError, slot.lastError)
            switch (there?.place ?? .ready, slot.place) {
            case (.ready, .ready), (.blocked, .ready): break
            case (.leased(let left), .leased(let right)): try demand("lease of \(name) \(message.id)", left, right)
            case (.delayed(let left), .delayed(let right, _)):
                try demand("delay of \(name) \(message.id)", left.milliseconds, right)
            case (.dead, .dead(let reason)): try demand("reason of \(name) \(message.id)", there?.deathReason, reason)
            case (let left, let right):
                throw Disagreement(description: "\(name) \(message.id): the state says \(left), the model \(right)")
            }
        }
    }
}
