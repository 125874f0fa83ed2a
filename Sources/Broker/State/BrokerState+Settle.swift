import BrokerProtocol

extension BrokerState {
    /// The lease when it is alive and belongs to the session.
    func lease(_ id: LeaseID, of session: SessionID, now: Now) throws(BrokerError) -> Lease {
        guard let lease = leases[id], lease.session == session, lease.deadline > now.monotonic else {
            throw BrokerError(.leaseLost, "lease \(id) ended before: expired, settled, or not of this connection")
        }
        return lease
    }

    /// The facts of verdicts that go into one record.
    private struct SettlePlan {
        private var facts: [Fact] = []
        /// Acks of one subscription that follow each other; they share a fact.
        private var acks: (subscription: SubscriptionID, messages: [MessageID])?
        /// Nil: the leases of the request grow, so that none comes twice.
        private var taken: Set<LeaseID>?
        /// Of verdicts that free no space.
        var unfreeingBytes = 0

        /// - Parameter settlements: All of the request.
        init(_ settlements: [Settlement]) {
            let isGrowing = zip(settlements, settlements.dropFirst()).allSatisfy { $0.lease < $1.lease }
            taken = isGrowing ? nil : []
        }

        mutating func take(_ lease: Lease) throws(BrokerError) {
            if !(taken?.insert(lease.id).inserted ?? true) {
                throw BrokerError(.leaseLost, "lease \(lease.id) is settled twice in one request")
            }
        }

        mutating func add(_ fact: Fact) {
            closeAcks()
            facts.append(fact)
        }

        mutating func acknowledge(_ message: MessageID, of id: SubscriptionID) {
            if let acks, acks.subscription != id || acks.messages.count >= BrokerState.messagesPerFact { closeAcks() }
            if acks == nil { acks = (id, []) }
            acks?.messages.append(message)
        }

        private mutating func closeAcks() {
            if let acks { facts.append(.acknowledged(acks.subscription, acks.messages)) }
            acks = nil
        }

        mutating func take() -> [Fact] {
            closeAcks()
            return facts
        }
    }

    /// - Throws: `LEASE_LOST`, or `DISK_FULL` for a verdict that frees no space.
    private func add(
        _ verdict: Verdict, of lease: Lease, to plan: inout SettlePlan, now: Now
    ) throws(BrokerError) {
        if verdict == .ack {
            try plan.take(lease)
            plan.acknowledge(lease.message, of: lease.subscription.id)
            return
        }
        let textBytes =
            switch verdict {
            case .ack, .release: 0
            case .fail(let text, _), .reject(let text): min(text.utf8.count, 1024)
            }
        let bytes =
            plan.unfreeingBytes + textBytes + (consumer(of: lease)?.utf8.count ?? 0) + Self.settleBytes
            + parkingBytes(lease.subscription)
        if !leavesRoomForAcks(bytes) {
            throw BrokerError(.diskFull, "the disk is full and what is left is for acks; the lease stays")
        }
        try plan.take(lease)
        plan.add(fact(for: verdict, lease, now: now))
        plan.unfreeingBytes = bytes
    }

    /// One record for all verdicts of the request; a lost lease refuses its own item alone.
    func settle(_ settlements: [Settlement], session: SessionID, now: Now) -> [BrokerError?] {
        var plan = SettlePlan(settlements)
        var results: [BrokerError?] = []
        results.reserveCapacity(settlements.count)
        for settlement in settlements {
            do throws(BrokerError) {
                let lease = try self.lease(settlement.lease, of: session, now: now)
                try add(settlement.verdict, of: lease, to: &plan, now: now)
                results.append(nil)
            } catch {
                results.append(error)
            }
        }
        do throws(BrokerError) {
            try record(plan.take())
            return results
        } catch {
            return results.map { $0 ?? error }
        }
    }

    /// All or nothing: checks every lease and every publish before it logs one record.
    /// - Throws: The refusal of the first item that is refused, which it names.
    func commit(
        publishes: [OutgoingMessage], settlements: [Settlement], session: SessionID, now: Now
    ) throws(BrokerError) -> [PublishReceipt] {
        var settles = SettlePlan(settlements)
        for (index, settlement) in settlements.enumerated() {
            do throws(BrokerError) {
                let lease = try self.lease(settlement.lease, of: session, now: now)
                try add(settlement.verdict, of: lease, to: &settles, now: now)
            } catch {
                throw error.about("settle \(index + 1) of \(settlements.count) (lease \(settlement.lease))")
            }
        }
        var plan = PublishPlan()
        var receipts: [PublishReceipt] = []
        for (index, outgoing) in publishes.enumerated() {
            do throws(BrokerError) {
                receipts.append(try decidePublish(outgoing, &plan, now: now))
            } catch {
                throw error.about("publish \(index + 1) of \(publishes.count) (\(outgoing.topic))")
            }
        }
        try record(settles.take() + plan.facts)
        noteSacrifices(plan)
        return receipts
    }

    func extend(_ ids: [LeaseID], milliseconds: Int64, session: SessionID, now: Now) -> [BrokerError?] {
        ids.map { id in
            do throws(BrokerError) {
                guard (100...Lease.millisecondsMax).contains(milliseconds) else {
                    throw BrokerError(.settingInvalid, "an extension is 100 ms to 12 h, not \(milliseconds) ms")
                }
                let lease = try self.lease(id, of: session, now: now)
                let bound = lease.takenAt + lease.subscription.settings.leaseTotalMilliseconds
                guard bound > now.monotonic else {
                    throw BrokerError(.leaseLost, "lease \(id) has used up its total time, lease_total")
                }
                setDeadline(of: id, to: min(now.monotonic + milliseconds, bound))
                return nil
            } catch {
                return error
            }
        }
    }

    func setDeadline(of id: LeaseID, to deadline: Int64) {
        guard let lease = leases[id], lease.deadline != deadline else { return }
        leases[id]?.deadline = deadline
        if deadline == .max { return }
        leaseDeadlines.insert(LeaseDeadline(deadline: deadline, lease: id))
        leaseDeadlines.dropStale(liveCount: leases.count) { leases[$0.lease]?.deadline == $0.deadline }
    }

    private func fact(for verdict: Verdict, _ lease: Lease, now: Now) -> Fact {
        let id = lease.subscription.id
        switch verdict {
        case .ack: return .acknowledged(id, [lease.message])
        case .fail(let error, let after):
            return retry(lease, error: error, after: after, isDeath: false, now: now)
        case .release(let after):
            if let expired = expiry(of: lease, now: now) { return expired }
            return .returned(
                id, lease.message,
                Return(
                    readyAt: steady(now).adding(milliseconds: bounded(after ?? 0)), countsAttempt: false,
                    isDeath: false, error: nil, consumer: consumer(of: lease), at: now.wall))
        case .reject(let reason):
            return .died(
                id, lease.message,
                Death(reason: .rejected, words: clipped(reason), consumer: consumer(of: lease), at: now.wall))
        }
    }

    /// Takes the lease out of every index and gives its consumer the credit back.
    func end(_ lease: Lease) {
        leases[lease.id] = nil
        if let consumer = lease.consumer {
            consumer.unsettled -= 1
            consumer.source.updateTurn(of: consumer)
            consumer.source.noteFree(consumer)
            if consumer.source !== lease.subscription { consumer.source.markDirty(in: self) }
        }
        if let session = sessions[lease.session], session.leases.remove(lease.id) != nil { noteRoom(in: session) }
        markDirty(lease.subscription)
    }

    /// A lease that ended without a verdict. When only the space of the acks is left it is tried again
    /// later.
    func abandon(_ lease: Lease, error: String, now: Now) {
        let fact = retry(lease, error: error, after: nil, isDeath: true, now: now)
        let textBytes = error.utf8.count + (consumer(of: lease)?.utf8.count ?? 0)
        let bytes = textBytes + Self.settleBytes + parkingBytes(lease.subscription)
        if !leavesRoomForAcks(bytes) || !recordReserved([fact]) {
            setDeadline(of: lease.id, to: now.monotonic + 1_000)
        }
    }

    // MARK: Time

    /// Ends what is over at `now`: leases, waits, delays. Call before each batch of requests and when
    /// ``nextDeadline(now:)`` comes.
    func advance(now: Now) {
        clock.advance(to: limits.historyMilliseconds > 0 ? now.wall : nil)
        while let first = leaseDeadlines.first, first.deadline <= now.monotonic {
            leaseDeadlines.removeFirst()
            guard let lease = leases[first.lease], lease.deadline == first.deadline else { continue }
            abandon(lease, error: "the lease expired", now: now)
        }
        while let first = popDeadlines.first, first.deadline <= now.monotonic {
            popDeadlines.removeFirst()
            guard let session = sessions[first.session], let pop = removePop(first.pop, of: session) else { continue }
            timeOut(pop)
        }
        forgetRetained(now: now)
        if pauseEnds.first != nil { endPauses(now: now) }
        expireMessages(now: now)
        wakeSubscriptions(now: now)
        wakeDelayed(now: now)
        Self.wake(&backoffs, until: steady(now)).forEach(makeReady)
        if schedules.count > 0 || !schedules.hasBegun { fireSchedules(now: now) }
    }

    func wakeDelayed(now: Now) { Self.wake(&delayed, until: now.wall).forEach(makeReady) }

    private static func wake(_ entries: inout Heap<DelayedEntry>, until now: WallTime) -> [DelayedEntry] {
        var woken: [DelayedEntry] = []
        while let first = entries.first, first.until <= now {
            entries.removeFirst()
            woken.append(first)
        }
        return woken
    }

    private func makeReady(_ entry: DelayedEntry) {
        let place = subscriptions[entry.subscription]?.slots[entry.message]?.place
        if place == .delayed(until: entry.until) { move(entry.subscription, entry.message, to: .ready) }
    }

    /// Milliseconds until something is over; nil when nothing waits. The wall clock may jump: never more than 1 s
    /// while a message is delayed.
    func nextDeadline(now: Now) -> Int64? {
        var wait = Int64.max
        if let first = leaseDeadlines.first { wait = min(wait, first.deadline - now.monotonic) }
        if let first = popDeadlines.first { wait = min(wait, first.deadline - now.monotonic) }
        if let first = delayed.first { wait = min(wait, min(span(from: now.wall, to: first.until), 1_000)) }
        if let first = backoffs.first { wait = min(wait, span(from: steady(now), to: first.until)) }
        if let first = pauseEnds.first { wait = min(wait, min(span(from: now.wall, to: first), 1_000)) }
        if let first = schedules.first, !isDraining { wait = min(wait, min(span(from: now.wall, to: first), 1_000)) }
        if let expiry = nextExpiry(now: now) { wait = min(wait, expiry) }
        if let first = wakes.first { wait = min(wait, first.time - now.monotonic) }
        if !stalled.isEmpty { wait = min(wait, 1_000) }
        if !retainersDue.isEmpty { wait = min(wait, journal.bytesFree > 0 ? 0 : 1_000) }
        if let first = retainDeadlines.first { wait = min(wait, min(span(from: now.wall, to: first.until), 1_000)) }
        if !readings.isEmpty { wait = min(wait, areReadingsStuck ? 1_000 : 0) }
        if !unfinished.isEmpty || !sweeps.isEmpty { wait = min(wait, 0) }
        if !isDraining { for job in jobs { wait = min(wait, job.wait(now: now.monotonic)) } }
        return wait == .max ? nil : max(wait, 0)
    }

    private func span(from now: WallTime, to time: WallTime) -> Int64 {
        time <= now ? 0 : time.milliseconds - now.milliseconds
    }
}
