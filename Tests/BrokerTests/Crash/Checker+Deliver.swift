extension Checker {
    // MARK: Deliveries

    /// The message of a delivery or of a dead letter, when somebody published it.
    mutating func recognise(
        _ number: Int?, _ fingerprint: UInt64, _ subscription: String, _ id: UInt64
    ) -> Message? {
        guard let number, let message = messages[number] else {
            report(.phantom, "message \(id) on \(subscription)")
            return nil
        }
        let belongs = setting.topics[message.publish.topic]?.subscriptions.contains(subscription) ?? false
        guard message.publish.fingerprint == fingerprint, belongs else {
            report(.phantom, "message \(id) on \(subscription) is not what was published as number \(number)")
            return nil
        }
        identify(number, as: id)
        return messages[number]
    }

    mutating func deliver(_ delivery: History.Delivery) {
        let key = Key(subscription: delivery.subscription, id: delivery.id)
        guard
            let message = recognise(delivery.number, delivery.fingerprint, delivery.subscription, delivery.id),
            message.id == delivery.id
        else { return }
        openConnections.insert(delivery.connection)
        if leases[delivery.lease] != nil { report(.sharedLease, "lease \(delivery.lease) was given out twice") }
        var track = tracks[key] ?? Track(number: message.publish.number)
        if track.end != nil || track.isExhausted { report(.resurrected, "message \(key.id) on \(key.subscription)") }
        if let holder = track.holder, let lease = leases[holder], !lease.isSettled, lease.askers.isEmpty,
            lease.life == life,
            openConnections.contains(lease.connection)
        {
            report(.sharedLease, "message \(key.id) on \(key.subscription): leases \(holder) and \(delivery.lease)")
        }
        checkAttempt(of: delivery, track, message)
        checkRow(of: message.publish, key)
        track.attemptMin = max(track.attemptMin, delivery.attempt)
        track.lastAttempt = delivery.attempt
        track.lastLife = life
        track.lastMoment = moment
        track.holder = delivery.lease
        tracks[key] = track
        leases[delivery.lease] = Lease(
            key: key, attempt: delivery.attempt, connection: delivery.connection, life: life)
    }

    /// Attempts never go down. A crash may repeat one or leave one uncounted, and who was leased at a crash is
    /// delivered once more; so only the first delivery of a life may be above the limit.
    private mutating func checkAttempt(of delivery: History.Delivery, _ track: Track, _ message: Message) {
        let text = "message \(delivery.id) on \(delivery.subscription), attempt \(delivery.attempt)"
        if delivery.attempt < track.attemptMin { report(.attemptsFell, "\(text), at least \(track.attemptMin)") }
        guard let attemptsMax = setting.topics[message.publish.topic]?.attemptsMax else { return }
        let isLater = track.lastLife == life && delivery.attempt > track.lastAttempt
        if delivery.attempt > attemptsMax && (isLater || delivery.attempt > attemptsMax + kills) {
            report(.tooManyAttempts, text)
        }
    }

    mutating func taken(_ delivery: History.Delivery?, by operation: History.Operation) {
        guard case .take(let subscription) = operation.kind else { return }
        shares[subscription, default: Share()].doubtfulTakes -= 1
        guard let delivery,
            let message = recognise(delivery.number, delivery.fingerprint, subscription, delivery.id)
        else { return }
        shares[subscription, default: Share()].acknowledged += 1
        messages[message.publish.number]?.takenCount += 1
        if message.takenCount > 0 { report(.takenTwice, "message \(delivery.id)") }
    }

    // MARK: Ordering keys

    mutating func openRow(of publish: History.Publish, _ id: UInt64) {
        guard let key = publish.key, !publish.isDelayed else { return }
        for subscription in setting.topics[publish.topic]?.subscriptions ?? [] {
            let row = Row(subscription: subscription, key: key, priority: publish.priority)
            var ids = rows[row] ?? []
            ids.insert(id, at: ids.lastIndex { $0 < id }.map { $0 + 1 } ?? 0)
            rows[row] = ids
        }
    }

    /// The message does not stand in the way of its key any more.
    mutating func closeRow(_ key: Key) {
        guard let number = numbers[key.id], let publish = messages[number]?.publish, let name = publish.key else {
            return
        }
        let row = Row(subscription: key.subscription, key: name, priority: publish.priority)
        if let index = rows[row]?.firstIndex(of: key.id) { rows[row]?.remove(at: index) }
    }

    private mutating func checkRow(of publish: History.Publish, _ key: Key) {
        guard let name = publish.key, !publish.isDelayed else { return }
        let row = Row(subscription: key.subscription, key: name, priority: publish.priority)
        if let first = rows[row]?.first, first < key.id {
            report(.outOfOrder, "key \(name) on \(key.subscription): message \(key.id) before \(first)")
        }
    }

    // MARK: Counts

    /// What a broker that has just recovered counts lies between what is certain and what is possible.
    mutating func compare(_ survey: History.Survey) {
        for (name, topic) in setting.topics.sorted(by: { $0.key < $1.key }) {
            let ledger = ledger[name] ?? Ledger()
            for subscription in topic.subscriptions {
                let share = shares[subscription] ?? Share()
                let counts = survey.subscriptions[subscription] ?? History.Counts()
                let doubtful = share.doubtful.count + share.doubtfulTakes
                let least = ledger.certain - share.acknowledged - doubtful
                let most = ledger.certain + ledger.possible - share.acknowledged
                if counts.live < least || counts.live > most {
                    report(
                        .accounting,
                        "\(subscription) has \(counts.live) messages after a start, not \(least) to \(most)")
                }
                if counts.leased != 0 { report(.accounting, "\(subscription) has leases after a start") }
            }
        }
    }
}
