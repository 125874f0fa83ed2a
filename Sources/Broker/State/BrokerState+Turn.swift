import BrokerProtocol

/// What decides about the next delivery of a subscription, beside the order of its messages.
extension BrokerState {
    /// Whether a message with an ordering key steps aside now, because its key is held, its rate is used up, or the
    /// consumer that it belongs to is busy.
    /// - Parameter isForConsumers: Whether a consumer is to get it; otherwise a pop or a Redis client.
    func stepsAside(
        _ id: MessageID, _ entry: MessageEntry, _ key: String, of subscription: Subscription, isForConsumers: Bool,
        now: Now
    ) -> Bool {
        if subscription.isHeld(key, against: id) {
            subscription.block(id, entry, key)
            return true
        }
        if let owner = subscription.sticky?.owner(of: key),
            !isForConsumers || !owner.hasCredit || !hasRoom(owner.session)
        {
            subscription.block(id, entry, key)
            let place = HeldKey.Waiting(priority: entry.priority, message: id)
            owner.held.insert(HeldMessage(place: place, subscription: subscription.id))
            if owner.hasCredit {
                owner.source.noteFree(owner)
                owner.source.markDirty(in: self)
            }
            return true
        }
        let rate = subscription.rules.keyRate
        guard rate.count > 0, let time = subscription.pace.tokenTime(of: key, rate, at: now.monotonic) else {
            return false
        }
        subscription.block(id, entry, key)
        if subscription.limit(key, until: time) {
            subscription.pace.waits += 1
            wake(subscription, at: time)
        }
        return true
    }

    /// Since when a message waits.
    func waitsSince(_ id: MessageID) -> WallTime {
        let published = messages[id]?.publishedAt ?? WallTime(milliseconds: .max)
        return extras.isEmpty ? published : max(published, extras[id]?.deliverAt ?? published)
    }

    /// Who gets the next message; nil when nobody can, or nothing may be delivered.
    /// - Parameter source: Whose consumers are asked.
    func nextConsumer(of subscription: Subscription, from source: Source, now: Now) -> Consumer? {
        guard let consumer = firstConsumer(of: source) else { return nil }
        guard let sticky = subscription.sticky else { return consumer }
        guard let found = candidate(of: subscription, isForConsumers: true, now: now) else { return nil }
        return extras[found.id]?.orderingKey.flatMap(sticky.owner) ?? consumer
    }

    /// The candidate is handed out now. Call before it is leased or settled.
    func noteServed(_ id: MessageID, of subscription: Subscription, _ consumer: Consumer?, now: Now) {
        if let fair = subscription.fair {
            fair.noteServed(subscription.rules.fairWeights)
        } else {
            subscription.ageing.noteServed()
        }
        if subscription.rules.isPlain { return }
        if subscription.rules.rate.count > 0 { subscription.pace.bucket?.take() }
        guard !extras.isEmpty, let key = extras[id]?.orderingKey else { return }
        if subscription.rules.keyRate.count > 0 {
            subscription.pace.take(of: key, subscription.rules.keyRate, at: now.monotonic)
        }
        if let sticky = subscription.sticky, let consumer, sticky.owner(of: key) == nil {
            sticky.give(key, to: consumer) { subscription.keys[$0] != nil }
        }
    }

    // MARK: Settings

    /// The settings of a subscription, or of its topic, are new. What they say holds from the next delivery on.
    func follow(_ subscription: Subscription) {
        let (old, new) = (subscription.rules, DispatchRules(subscription.settings))
        subscription.rules = new
        if new.parks != subscription.isCountedAsParking {
            subscription.isCountedAsParking = new.parks
            parkingCount += new.parks ? 1 : -1
        }
        if new.fairHeader != subscription.fair?.header { divide(subscription, by: new.fairHeader) }
        if new.isSticky != (subscription.sticky != nil) {
            if new.isSticky {
                subscription.sticky = StickyKeys()
            } else {
                letGo(of: subscription)
            }
        }
        if new.rate.count == 0 { subscription.pace.bucket = nil }
        if old.keyRate != new.keyRate {
            if new.keyRate.count == 0 {
                subscription.pace.keyBuckets = [:]
                subscription.pace.full = Heap()
            }
            wakeKeys(of: subscription, until: .max)
        }
        markDirty(subscription)
    }

    /// Divides the messages of a subscription by the value of a header, or puts them into one row.
    private func divide(_ subscription: Subscription, by header: String?) {
        subscription.fair = nil
        if let header {
            if !subscription.isQueued { subscription.becomeQueued() }
            subscription.fair = FairRow(header: header, ready: subscription.returned)
        } else if subscription.filter.isEmpty {
            subscription.becomeLane()
        }
    }

    /// No ordering key stays with a consumer any more.
    private func letGo(of subscription: Subscription) {
        for source in [subscription, subscription.pattern].compactMap(\.self) as [Source] {
            for consumer in source.consumers { source.noteEnd(consumer) }
            let orphans = source.orphans
            source.orphans = []
            for var held in orphans {
                while let first = held.removeFirst() { unblock(first) }
            }
        }
        subscription.sticky = nil
    }
}
