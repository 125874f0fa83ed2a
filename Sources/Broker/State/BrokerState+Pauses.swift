import BrokerProtocol

extension Subscription {
    /// Nothing new is handed out.
    var isPaused: Bool { ownPause != nil || topic.deliveryPause != nil || pattern?.ownPause != nil }
}

extension BrokerState {
    /// - Parameter until: Nil: until it is resumed. A time that has passed resumes.
    func pause(_ target: PauseTarget, _ scope: PauseScope, until: WallTime?, now: Now) throws(BrokerError) {
        let place = try place(of: target, scope)
        if let until, until <= now.wall { return try resume(target, scope) }
        let fact = Fact.paused(place, scope, Pause(until: until))
        try demandSpace(bytes: 128)
        try record([fact])
    }

    func resume(_ target: PauseTarget, _ scope: PauseScope) throws(BrokerError) {
        let place = try place(of: target, scope)
        let isPaused =
            switch place {
            case .topic(let id):
                scope.holdsIntake && topics[id]?.intakePause != nil
                    || scope.holdsDelivery && topics[id]?.deliveryPause != nil
            case .subscription(let id): pause(of: id) != nil
            }
        if isPaused { try record([.paused(place, scope, nil)]) }
    }

    private func place(of target: PauseTarget, _ scope: PauseScope) throws(BrokerError) -> PausePlace {
        switch target {
        case .topic(let name): return .topic(try topic(name).id)
        case .subscription(let name):
            guard scope == .delivery else {
                throw BrokerError(.settingInvalid, "\(target): only the delivery of a subscription can be paused")
            }
            return .subscription(try owner(named: name).id)
        }
    }

    private func pause(of id: SubscriptionID) -> Pause? { patterns[id]?.ownPause ?? subscriptions[id]?.ownPause }

    func applyPaused(_ place: PausePlace, _ scope: PauseScope, _ pause: Pause?) {
        switch place {
        case .topic(let id):
            guard let topic = topics[id] else { return }
            if scope.holdsIntake { topic.intakePause = pause }
            if scope.holdsDelivery {
                topic.deliveryPause = pause
                topic.subscriptions.forEach(markDirty)
            }
            pauseEnds.set(place, [topic.intakePause?.until, topic.deliveryPause?.until].compactMap(\.self).min())
        case .subscription(let id):
            if let pattern = patterns[id] {
                pattern.ownPause = pause
                pattern.members.forEach(markDirty)
            } else if let subscription = subscriptions[id] {
                subscription.ownPause = pause
                markDirty(subscription)
            } else {
                return
            }
            pauseEnds.set(place, pause?.until)
        }
    }

    /// Ends the pauses whose time has come. The end is logged: a clock that jumps back does not begin them again.
    func endPauses(now: Now) {
        while let place = pauseEnds.takeOver(now: now.wall) {
            func isOver(_ pause: Pause?) -> Bool { pause?.until.map { $0 <= now.wall } ?? false }
            switch place {
            case .topic(let id):
                guard let topic = topics[id] else { continue }
                if isOver(topic.intakePause) { end(place, .intake) }
                if isOver(topic.deliveryPause) { end(place, .delivery) }
            case .subscription(let id):
                if isOver(self.pause(of: id)) { end(place, .delivery) }
            }
        }
    }

    private func end(_ place: PausePlace, _ scope: PauseScope) {
        let fact = Fact.paused(place, scope, nil)
        if !leavesRoomForAcks(Self.settleBytes) || !recordReserved([fact], isAwaited: false) {
            apply(fact, at: RecordAddress(position: journal.end, offset: 0))
        }
    }

    /// - Throws: `TOPIC_PAUSED`.
    func demandIntake(of topic: Topic) throws(BrokerError) {
        guard let pause = topic.intakePause else { return }
        let end = pause.until.map { "until \($0.utcText)" } ?? "until it is resumed"
        throw BrokerError(.topicPaused, "the intake of \(topic.name) is paused \(end)")
    }

    /// The pauses in force, for the definitions. They take less than what ``definitionBytes(_:)`` adds to each name.
    func pauseFacts(of topic: Topic) -> [Fact] {
        var facts: [Fact] = []
        if let pause = topic.intakePause { facts.append(.paused(.topic(topic.id), .intake, pause)) }
        if let pause = topic.deliveryPause { facts.append(.paused(.topic(topic.id), .delivery, pause)) }
        for subscription in topic.subscriptions {
            if let pause = subscription.ownPause {
                facts.append(.paused(.subscription(subscription.id), .delivery, pause))
            }
        }
        return facts
    }

    func pauseFigures(of topic: Topic) -> [Figure] {
        figures("intake_paused", topic.intakePause) + figures("delivery_paused", topic.deliveryPause)
    }

    func pauseFigures(of subscription: Subscription) -> [Figure] {
        pauseFigures(of: subscription.ownPause)
    }

    func pauseFigures(of pause: Pause?) -> [Figure] { figures("delivery_paused", pause) }

    private func figures(_ name: String, _ pause: Pause?) -> [Figure] {
        guard let pause else { return [] }
        return [Figure(name, 1)] + (pause.until.map { [Figure("\(name)_until", $0.milliseconds)] } ?? [])
    }
}
