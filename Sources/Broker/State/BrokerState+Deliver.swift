import BrokerProtocol

extension BrokerState {
    // MARK: Sessions

    func open(_ id: SessionID, name: String) { sessions[id] = Session(name: name) }

    /// The connection is gone: its leases end without a verdict, its consumers and waits end.
    func close(_ id: SessionID, now: Now) {
        guard let session = sessions[id] else { return }
        for lease in session.leases.sorted() {
            guard let lease = leases[lease] else { continue }
            abandon(lease, error: "the connection of \(session.name) was lost", now: now)
        }
        for consumer in session.consumers.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            removeConsumer(ConsumerKey(session: id, consumer: consumer))
        }
        for pop in session.pops.keys.sorted() { _ = removePop(pop, of: id) }
        sessions[id] = nil
    }

    func subscribe(
        _ key: ConsumerKey, to name: SubscriptionName, credit: UInt32, start: StartPosition, leaseMilliseconds: Int64?
    ) throws(BrokerError) {
        guard let session = sessions[key.session] else { return }
        if session.consumers[key.consumer] != nil {
            throw BrokerError(.consumerExists, "consumer \(key.consumer.rawValue) exists on this connection")
        }
        if session.consumers.count >= limits.consumersPerConnectionMax {
            throw BrokerError(
                .consumerLimit, "the connection has \(limits.consumersPerConnectionMax) consumers, the limit")
        }
        if let leaseMilliseconds, !(100...Lease.millisecondsMax).contains(leaseMilliseconds) {
            throw BrokerError(.settingInvalid, "a lease is 100 ms to 12 h, not \(leaseMilliseconds) ms")
        }
        let subscription = try ensureSubscription(name, start: start)
        sessions[key.session]?.consumers[key.consumer] = Consumer(
            subscription: subscription, credit: credit, leaseMilliseconds: leaseMilliseconds)
        subscriptions[subscription]?.consumers.append(key)
        markDirty(subscription)
    }

    func setCredit(_ key: ConsumerKey, _ credit: UInt32) throws(BrokerError) {
        guard let consumer = sessions[key.session]?.consumers[key.consumer] else { throw unknown(key.consumer) }
        sessions[key.session]?.consumers[key.consumer]?.credit = credit
        markDirty(consumer.subscription)
    }

    func unsubscribe(_ key: ConsumerKey) throws(BrokerError) {
        guard removeConsumer(key) else { throw unknown(key.consumer) }
    }

    private func unknown(_ consumer: ConsumerID) -> BrokerError {
        BrokerError(.consumerUnknown, "this connection has no consumer \(consumer.rawValue)")
    }

    @discardableResult
    private func removeConsumer(_ key: ConsumerKey) -> Bool {
        guard let consumer = sessions[key.session]?.consumers.removeValue(forKey: key.consumer) else { return false }
        subscriptions[consumer.subscription]?.consumers.removeAll { $0 == key }
        return true
    }

    // MARK: Pop

    func pop(
        _ names: [SubscriptionName], timeoutMilliseconds: Int64, acknowledges: Bool, origin: Origin, now: Now
    ) throws(BrokerError) {
        guard !names.isEmpty, names.count <= 100 else {
            throw BrokerError(.batchTooLarge, "a pop names 1 to 100 subscriptions")
        }
        var ids: [SubscriptionID] = []
        for name in names { ids.append(try ensureSubscription(name, start: .beginning)) }
        for id in ids {
            if let notice = take(from: id, session: origin.session, consumer: nil, acknowledges: acknowledges, now: now)
            {
                emit(.answerPop(origin, notice))
                return
            }
        }
        if timeoutMilliseconds == 0 || isDraining {
            respond(origin, .popped(nil))
            return
        }
        let number = nextPop
        nextPop += 1
        sessions[origin.session]?.pops[number] = WaitingPop(
            origin: origin, subscriptions: ids, acknowledges: acknowledges)
        for id in ids { subscriptions[id]?.waiting.append(PopKey(session: origin.session, pop: number)) }
        if timeoutMilliseconds > 0 {
            let deadline = now.monotonic + min(timeoutMilliseconds, Lease.millisecondsMax)
            popDeadlines.insert(PopDeadline(deadline: deadline, pop: number, session: origin.session))
        }
    }

    func removePop(_ number: UInt64, of session: SessionID) -> WaitingPop? {
        guard let pop = sessions[session]?.pops.removeValue(forKey: number) else { return nil }
        for id in pop.subscriptions { subscriptions[id]?.waiting.removeAll { $0.pop == number } }
        return pop
    }

    // MARK: Delivery

    /// Hands ready messages to who waits for them; call after a batch of requests.
    func dispatch(now: Now) {
        while !dirty.isEmpty {
            let batch = dirty
            dirty = []
            for id in batch {
                subscriptions[id]?.isDirty = false
                if !isDraining { dispatch(id, now: now) }
            }
        }
    }

    private func dispatch(_ id: SubscriptionID, now: Now) {
        var attempted: [MessageID] = []
        while let receiver = nextReceiver(of: id) {
            switch receiver {
            case .pop(let key):
                guard let pop = sessions[key.session]?.pops[key.pop] else {
                    subscriptions[id]?.waiting.removeAll { $0 == key }
                    continue
                }
                guard
                    let notice = take(
                        from: id, session: key.session, consumer: nil, acknowledges: pop.acknowledges, now: now)
                else { break }
                _ = removePop(key.pop, of: key.session)
                emit(.answerPop(pop.origin, notice))
                continue
            case .consumer(let key):
                guard
                    let notice = take(
                        from: id, session: key.session, consumer: key.consumer, acknowledges: false, now: now,
                        logsAttempt: false)
                else { break }
                attempted.append(notice.id)
                emit(.deliver(key.session, notice))
                continue
            }
            break
        }
        if !attempted.isEmpty { recordReserved([.attempted(id, attempted)], isAwaited: false) }
    }

    private enum Receiver {
        case pop(PopKey)
        case consumer(ConsumerKey)
    }

    /// Waiting pops first, then the consumers in turn.
    private func nextReceiver(of id: SubscriptionID) -> Receiver? {
        guard let subscription = subscriptions[id], subscription.readyCount > 0 else { return nil }
        if let pop = subscription.waiting.first { return .pop(pop) }
        let count = subscription.consumers.count
        for step in 0..<count {
            let index = (subscription.turn + step) % count
            let key = subscription.consumers[index]
            guard let session = sessions[key.session], session.leases.count < limits.leasesPerConnectionMax,
                session.consumers[key.consumer]?.hasCredit == true
            else { continue }
            subscriptions[id]?.turn = index + 1
            return .consumer(key)
        }
        return nil
    }

    /// Takes the next ready message for a session; expired ones die on the way.
    private func take(
        from id: SubscriptionID, session: SessionID, consumer: ConsumerID?, acknowledges: Bool, now: Now,
        logsAttempt: Bool = true
    ) -> Notice? {
        while let messageID = nextReady(of: id) {
            guard let message = messages[messageID], let subscription = subscriptions[id] else { return nil }
            if let expiresAt = message.expiresAt, expiresAt <= now.wall {
                guard
                    recordReserved([
                        .died(id, messageID, reason: "expired", error: nil, isDeath: false, at: now.wall)
                    ])
                else { return nil }
                continue
            }
            let history = subscription.slots[messageID]?.history ?? SlotHistory()
            var notice = Notice(
                id: messageID, subscription: subscription.name, attempt: history.attempts + 1,
                publishedAt: message.publishedAt, redrives: history.redrives, lastError: history.lastError,
                address: message.address)
            if acknowledges {
                guard recordReserved([.acknowledged(id, [messageID])]) else {
                    makeReady(id, messageID)
                    return nil
                }
            } else {
                if logsAttempt { recordReserved([.attempted(id, [messageID])], isAwaited: false) }
                lease(&notice, id, session: session, consumer: consumer, now: now)
            }
            subscriptions[id]?.delivered += 1
            totals.delivered += 1
            return notice
        }
        return nil
    }

    private func nextReady(of id: SubscriptionID) -> MessageID? {
        guard let slots = subscriptions[id]?.slots else { return nil }
        return subscriptions[id]?.ready.next { slots[$0]?.place == .ready }
    }

    private func lease(
        _ notice: inout Notice, _ id: SubscriptionID, session: SessionID, consumer: ConsumerID?, now: Now
    ) {
        let asked = consumer.flatMap { sessions[session]?.consumers[$0]?.leaseMilliseconds }
        let duration = asked ?? settings(of: id).leaseMilliseconds
        let lease = Lease(
            id: LeaseID(rawValue: nextLease), session: session, consumer: consumer, subscription: id,
            message: notice.id, takenAt: now.monotonic, deadline: now.monotonic + duration)
        nextLease += 1
        leases[lease.id] = lease
        leaseDeadlines.insert(LeaseDeadline(deadline: lease.deadline, lease: lease.id))
        sessions[session]?.leases.insert(lease.id)
        if let consumer { sessions[session]?.consumers[consumer]?.unsettled += 1 }
        subscriptions[id]?.move(notice.id, to: .leased(lease.id))
        notice.consumer = consumer ?? ConsumerID(rawValue: 0)
        notice.lease = lease.id
        notice.leaseMilliseconds = duration
    }
}
