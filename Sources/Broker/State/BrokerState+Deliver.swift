import BrokerProtocol

extension BrokerState {
    // MARK: Sessions

    func open(_ id: SessionID, name: String) { sessions[id] = Session(id: id, name: name) }

    /// The connection is gone: its leases end without a verdict, its consumers and waits end.
    func close(_ id: SessionID, now: Now) {
        guard let session = sessions[id] else { return }
        for lease in session.leases.sorted() {
            guard let lease = leases[lease] else { continue }
            abandon(lease, error: "the connection of \(session.name) was lost", now: now)
        }
        for consumer in session.consumers.keys.sorted() { removeConsumer(consumer, of: session) }
        for pop in session.pops.keys.sorted() { _ = removePop(pop, of: session) }
        sessions[id] = nil
    }

    func subscribe(
        _ id: ConsumerID, _ session: Session, to name: SubscriptionName, credit: UInt32, start: StartPosition,
        leaseMilliseconds: Int64?, weight: UInt8
    ) throws(BrokerError) {
        if session.consumers[id] != nil {
            throw BrokerError(.consumerExists, "consumer \(id.rawValue) exists on this connection")
        }
        if session.consumers.count >= limits.consumersPerConnectionMax {
            throw BrokerError(
                .consumerLimit,
                "the connection has \(limits.consumersPerConnectionMax) consumers, the limit consumers_max")
        }
        if let leaseMilliseconds, !(100...Lease.millisecondsMax).contains(leaseMilliseconds) {
            throw BrokerError(.settingInvalid, "a lease is 100 ms to 12 h, not \(leaseMilliseconds) ms")
        }
        let source = try ensureSource(name, start: start)
        let consumer = Consumer(
            id: id, session: session, source: source, credit: credit,
            leaseMilliseconds: leaseMilliseconds, weight: weight)
        session.consumers[id] = consumer
        source.add(consumer)
        source.markDirty(in: self)
    }

    func setCredit(_ id: ConsumerID, _ session: Session, _ credit: UInt32) throws(BrokerError) {
        guard let consumer = session.consumers[id] else { throw unknown(id) }
        consumer.credit = credit
        consumer.source.updateTurn(of: consumer)
        consumer.source.noteFree(consumer)
        consumer.source.markDirty(in: self)
    }

    func unsubscribe(_ id: ConsumerID, _ session: Session) throws(BrokerError) {
        guard removeConsumer(id, of: session) else { throw unknown(id) }
    }

    private func unknown(_ consumer: ConsumerID) -> BrokerError {
        BrokerError(.consumerUnknown, "this connection has no consumer \(consumer.rawValue)")
    }

    @discardableResult
    private func removeConsumer(_ id: ConsumerID, of session: Session) -> Bool {
        guard let consumer = session.consumers.removeValue(forKey: id) else { return false }
        consumer.source.remove(consumer)
        consumer.source.markDirty(in: self)
        return true
    }

    // MARK: Pop

    func pop(
        _ names: [SubscriptionName], timeoutMilliseconds: Int64, acknowledges: Bool, _ session: Session,
        origin: Origin, now: Now
    ) throws(BrokerError) {
        guard (1...100).contains(names.count) else {
            throw BrokerError(.batchTooLarge, "a pop names 1 to 100 subscriptions")
        }
        if isDraining { throw Self.draining }
        if session.holdCount >= limits.leasesPerConnectionMax {
            throw BrokerError(
                .leaseLimit,
                "the connection's leases and waiting pops are \(limits.leasesPerConnectionMax), the limit leases_max")
        }
        var sources: [Source] = []
        for name in names { sources.append(try ensureSource(name, start: .beginning)) }
        for source in sources where source.waiting.isEmpty {
            if let notice = take(from: source, session, acknowledges: acknowledges, now: now) {
                emit(.answerPop(origin, notice))
                return
            }
        }
        if timeoutMilliseconds == 0 {
            respond(origin, .popped(nil))
            return
        }
        wait(
            WaitingPop(
                number: nextPop, origin: origin, sources: sources, acknowledges: acknowledges),
            session, timeoutMilliseconds: timeoutMilliseconds, now: now)
    }

    /// - Parameter timeoutMilliseconds: Negative for ever.
    func wait(_ pop: WaitingPop, _ session: Session, timeoutMilliseconds: Int64, now: Now) {
        nextPop += 1
        session.pops[pop.number] = pop
        waitingPopCount += 1
        for source in pop.sources { source.waiting.append(pop) }
        if timeoutMilliseconds > 0 {
            let deadline = now.monotonic + min(timeoutMilliseconds, 366 * 86_400_000)
            popDeadlines.insert(PopDeadline(deadline: deadline, pop: pop.number, session: session.id))
            popDeadlines.dropStale(liveCount: waitingPopCount) { entry in
                sessions[entry.session]?.pops[entry.pop] != nil
            }
        }
    }

    func removePop(_ number: UInt64, of session: Session) -> WaitingPop? {
        guard let pop = session.pops.removeValue(forKey: number) else { return nil }
        waitingPopCount -= 1
        noteRoom(in: session)
        for source in pop.sources { source.waiting.removeAll { $0 === pop } }
        if case .read? = pop.errand { readers.removeAll { $0 === pop } }
        return pop
    }

    // MARK: Delivery

    /// Hands ready messages to who waits for them; call after a batch of requests.
    func dispatch(now: Now) {
        serveReaders()
        continueReadings()
        advanceSweeps()
        advanceJobs(now: now)
        for subscription in stalled { markDirty(subscription) }
        stalled = []
        for source in unfinished { source.markDirty(in: self) }
        unfinished = []
        var batch: [Subscription] = []
        while !dirty.isEmpty || patterns.isAnyDirty {
            batch.removeAll(keepingCapacity: true)
            swap(&batch, &dirty)
            for subscription in batch {
                subscription.isDirty = false
                if !isDraining { dispatch(subscription, now: now) }
                checkAlarm(of: subscription)
            }
            for pattern in patterns.takeDirty() where !isDraining { dispatch(pattern, now: now) }
        }
        batch.removeAll(keepingCapacity: true)
        swap(&batch, &dirty)
    }

    /// Gives waiting pops what they wait for, the longest waiting first.
    func serveWaiting(of source: Source, now: Now) {
        while let pop = source.waiting.first, let session = sessions[pop.origin.session] {
            if let errand = pop.errand {
                guard let subscription = source as? Subscription,
                    let reply = perform(errand, of: pop, from: subscription, session, now: now)
                else { return }
                _ = removePop(pop.number, of: session)
                emit(.answerRedis(session.id, reply))
            } else if let fetch = pop.fetch {
                let notices = take(fetch, from: source, session, waiting: 1, now: now)
                if notices.isEmpty { return }
                _ = removePop(pop.number, of: session)
                emit(.answerFetch(pop.origin, notices))
            } else {
                guard let notice = take(from: source, session, acknowledges: pop.acknowledges, now: now)
                else { return }
                _ = removePop(pop.number, of: session)
                emit(.answerPop(pop.origin, notice))
            }
        }
    }

    /// Waiting pops first, then the consumers in turn.
    private func dispatch(_ subscription: Subscription, now: Now) {
        serveWaiting(of: subscription, now: now)
        if subscription.sticky != nil { wakeHeld(of: subscription) }
        var attempted: [MessageID] = []
        var holder: Session?
        while subscription.readyCount > 0,
            let consumer = nextConsumer(of: subscription, from: subscription, now: now)
        {
            guard let notice = take(from: subscription, consumer.session, consumer, acknowledges: false, now: now)
            else { break }
            if clock.isRunning && holder !== consumer.session {
                noteAttempts(attempted, of: subscription, by: holder)
                attempted = []
                holder = consumer.session
            }
            attempted.append(notice.id)
            emit(.deliver(consumer.session.id, notice))
            if attempted.count == Self.messagesPerFact {
                noteAttempts(attempted, of: subscription, by: holder)
                attempted = []
            }
        }
        noteAttempts(attempted, of: subscription, by: holder)
        if let pattern = subscription.pattern, subscription.readyCount > 0 { patterns.markDirty(pattern) }
    }

    /// Ids that one fact names at most: its record stays small, however scattered they are.
    static let messagesPerFact = 10_000

    /// Counts an attempt of each message; in RAM alone when only the space of the acks is left.
    /// - Parameter session: Who has them, for the history.
    func noteAttempts(_ messages: [MessageID], of subscription: Subscription, by session: Session?) {
        if messages.isEmpty { return }
        let consumer = clock.isRunning ? session?.name : nil
        let attempted =
            consumer.map { Fact.handed(subscription.id, messages, consumer: $0) }
            ?? .attempted(subscription.id, messages)
        // An id takes up to nine bytes, beside the record's own and the name.
        let hasRoom = leavesRoomForAcks(9 * messages.count + 255 + Self.settleBytes)
        if !hasRoom || !recordReserved([attempted], isAwaited: false) {
            apply(attempted, at: RecordAddress(position: journal.end, offset: 0))
        }
    }

    /// How many messages are put aside in a row because their ordering keys are held; some 10 ms.
    static let blockedPerTurn = 5_000

    /// The message to hand out next; expired ones die on the way, and those whose key is held step
    /// aside. Nil also when very many in a row had to: then the next turn goes on.
    /// - Parameters:
    ///   - leases: Whether it will be leased.
    ///   - isForConsumers: Whether one of the consumers will get it.
    func candidate(
        of subscription: Subscription, leases: Bool = false, isForConsumers: Bool = false, now: Now
    ) -> (id: MessageID, entry: MessageEntry)? {
        if subscription.rules.isGated && !mayDeliver(subscription, leases: leases, now: now) { return nil }
        var blocked = 0
        if subscription.isPaused { return nil }
        while let id = subscription.next(now: now.wall, since: waitsSince) {
            guard let entry = messages[id] else { return nil }
            if let reading = subscription.reading, id >= reading.next { return nil }
            if let key = extras[id]?.orderingKey,
                stepsAside(id, entry, key, of: subscription, isForConsumers: isForConsumers, now: now)
            {
                blocked += 1
                if blocked < Self.blockedPerTurn { continue }
                unfinished.append(subscription)
                return nil
            }
            if isExpired(id, entry, in: subscription, now: now) {
                guard expire(id, in: subscription, now: now) else {
                    stall(subscription)
                    return nil
                }
                continue
            }
            return (id, entry)
        }
        return nil
    }

    /// Takes the next ready message for a session.
    /// - Parameters:
    ///   - consumer: Its attempt is logged by the caller; that of a pop (nil) here.
    ///   - leaseMilliseconds: Nil: as the consumer or the subscription says.
    ///   - fetched: What a fetch has taken; it takes the message when that fits, and notes the attempts.
    func take(
        from subscription: Subscription, _ session: Session, _ consumer: Consumer?, acknowledges: Bool,
        leaseMilliseconds: Int64? = nil, fetched: FetchedPage? = nil, now: Now
    ) -> Notice? {
        guard
            let (id, entry) = candidate(
                of: subscription, leases: !acknowledges, isForConsumers: consumer != nil, now: now)
        else { return nil }
        if let fetched,
            !fetched.admits(entry, of: subscription.name, subscription.slots[id], key: extras[id]?.orderingKey)
        {
            return nil
        }
        noteServed(id, of: subscription, consumer, now: now)
        let slot = subscription.slots[id]
        var notice = Notice(
            id: id, subscription: subscription.name, attempt: (slot?.attempts ?? 0) + 1,
            deliveries: (slot?.deliveries ?? 0) + 1, redrives: UInt32(slot?.redrives ?? 0), lastError: slot?.lastError,
            address: entry.address,
            bytes: entry.bytes)
        if acknowledges {
            guard recordReserved([.acknowledged(subscription.id, [id])]) else {
                stall(subscription)
                return nil
            }
        } else {
            let leaseMilliseconds = leaseMilliseconds ?? consumer?.leaseMilliseconds
            lease(&notice, subscription, session, consumer, milliseconds: leaseMilliseconds, now: now)
            if consumer == nil && fetched == nil { noteAttempts([id], of: subscription, by: session) }
        }
        subscription.delivered += 1
        totals.delivered += 1
        return notice
    }

    /// The log is full: to be tried again with the next dispatch.
    private func stall(_ subscription: Subscription) {
        if !stalled.contains(where: { $0 === subscription }) { stalled.append(subscription) }
    }

    /// A session that was at its limit of leases has room again: all that its consumers read may go on.
    func noteRoom(in session: Session) {
        guard session.holdCount + 1 >= limits.leasesPerConnectionMax else { return }
        rejoin(session)
    }

    /// - Parameter milliseconds: Nil: as the subscription says; the largest number: until it is settled.
    func lease(
        _ notice: inout Notice, _ subscription: Subscription, _ session: Session, _ consumer: Consumer?,
        milliseconds: Int64?, now: Now
    ) {
        if !extras.isEmpty, let key = extras[notice.id]?.orderingKey { subscription.hold(key, for: notice.id) }
        let rules = subscription.rules
        let duration =
            milliseconds == .max
            ? Int64.max : min(milliseconds ?? rules.leaseMilliseconds, rules.leaseTotalMilliseconds)
        let lease = Lease(
            id: LeaseID(rawValue: nextLease), session: session.id, consumer: consumer, subscription: subscription,
            message: notice.id, takenAt: now.monotonic, deadline: duration == .max ? .max : now.monotonic + duration)
        nextLease += 1
        leases[lease.id] = lease
        if lease.deadline != .max {
            leaseDeadlines.insert(LeaseDeadline(deadline: lease.deadline, lease: lease.id))
            leaseDeadlines.dropStale(liveCount: leases.count) { leases[$0.lease]?.deadline == $0.deadline }
        }
        session.leases.insert(lease.id)
        if let consumer {
            consumer.unsettled += 1
            consumer.source.noteServed(consumer)
        }
        let place = Slot.Place.leased(lease.id)
        let isClaimed = messages[notice.id].map { subscription.claim(notice.id, $0, as: place) } ?? false
        if !isClaimed { move(subscription.id, notice.id, to: place) }
        notice.consumer = consumer?.id ?? ConsumerID(rawValue: 0)
        notice.lease = lease.id
        notice.leaseMilliseconds = duration
    }
}
