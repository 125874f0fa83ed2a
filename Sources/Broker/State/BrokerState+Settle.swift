import BrokerProtocol

extension BrokerState {
    /// The lease when it is alive and belongs to the session.
    private func lease(_ id: LeaseID, of session: SessionID, now: Now) throws(BrokerError) -> Lease {
        guard let lease = leases[id], lease.session == session, lease.deadline > now.monotonic else {
            throw BrokerError(.leaseLost, "lease \(id) ended before: expired, settled, or not of this connection")
        }
        return lease
    }

    /// One record for all verdicts of the request; a lost lease refuses its own item alone.
    func settle(_ settlements: [Settlement], session: SessionID, now: Now) -> [BrokerError?] {
        var facts: [Fact] = []
        var ended: [Lease] = []
        var results: [BrokerError?] = []
        var taken: Set<LeaseID> = []
        for settlement in settlements {
            do throws(BrokerError) {
                let lease = try self.lease(settlement.lease, of: session, now: now)
                if !taken.insert(lease.id).inserted {
                    throw BrokerError(.leaseLost, "lease \(lease.id) is settled twice in one request")
                }
                add(fact(for: settlement.verdict, lease, now: now), to: &facts)
                ended.append(lease)
                results.append(nil)
            } catch {
                results.append(error)
            }
        }
        guard recordReserved(facts) else {
            let error = BrokerError(.diskFull, "the disk is full and the reserve for settles is used up")
            return results.map { $0 ?? error }
        }
        for lease in ended { end(lease) }
        return results
    }

    /// All or nothing: checks every lease and every publish before it logs one record.
    func commit(
        publishes: [OutgoingMessage], settlements: [Settlement], session: SessionID, now: Now
    ) throws(BrokerError) -> [PublishReceipt] {
        var facts: [Fact] = []
        var ended: [Lease] = []
        var receipts: [PublishReceipt] = []
        var dedup: [String: PublishReceipt] = [:]
        var taken: Set<LeaseID> = []
        for settlement in settlements {
            let lease = try self.lease(settlement.lease, of: session, now: now)
            if !taken.insert(lease.id).inserted {
                throw BrokerError(.leaseLost, "lease \(lease.id) is settled twice in one commit")
            }
            add(fact(for: settlement.verdict, lease, now: now), to: &facts)
            ended.append(lease)
        }
        var fresh: UInt64 = 0
        for outgoing in publishes {
            let key = outgoing.dedupID.map { "\(outgoing.topic)@\($0)" }
            if let key, let first = dedup[key] {
                receipts.append(PublishReceipt(id: first.id, isDuplicate: true))
                continue
            }
            let (published, receipt) = try decidePublish(outgoing, now: now, offset: fresh)
            fresh += UInt64(published.count)
            facts += published
            receipts.append(receipt)
            if let key { dedup[key] = receipt }
        }
        try record(facts)
        for lease in ended { end(lease) }
        return receipts
    }

    func extend(
        _ ids: [LeaseID], milliseconds: Int64, session: SessionID, now: Now
    ) -> [BrokerError?] {
        ids.map { id in
            do throws(BrokerError) {
                guard (100...Lease.millisecondsMax).contains(milliseconds) else {
                    throw BrokerError(.settingInvalid, "an extension is 100 ms to 12 h, not \(milliseconds) ms")
                }
                let lease = try self.lease(id, of: session, now: now)
                let bound = lease.takenAt + settings(of: lease.subscription).leaseTotalMilliseconds
                let deadline = min(now.monotonic + milliseconds, bound)
                leases[id]?.deadline = deadline
                leaseDeadlines.insert(LeaseDeadline(deadline: deadline, lease: id))
                return nil
            } catch {
                return error
            }
        }
    }

    private func add(_ fact: Fact, to facts: inout [Fact]) {
        if case .acknowledged(let id, let new) = fact, case .acknowledged(id, let old) = facts.last {
            facts[facts.count - 1] = .acknowledged(id, old + new)
        } else {
            facts.append(fact)
        }
    }

    private func fact(for verdict: Verdict, _ lease: Lease, now: Now) -> Fact {
        switch verdict {
        case .ack: return .acknowledged(lease.subscription, [lease.message])
        case .fail(let error, let after):
            return retry(lease, error: clipped(error), after: after, isDeath: false, now: now)
        case .release(let after):
            return .returned(
                lease.subscription, lease.message, readyAt: now.wall.adding(milliseconds: bounded(after ?? 0)),
                countsAttempt: false, isDeath: false, error: nil)
        case .reject(let reason):
            return .died(
                lease.subscription, lease.message, reason: "rejected: \(clipped(reason))", error: nil,
                isDeath: false, at: now.wall)
        }
    }

    /// The one retry policy: for a failure, an expired lease and a lost connection.
    private func retry(_ lease: Lease, error: String, after: Int64?, isDeath: Bool, now: Now) -> Fact {
        let settings = settings(of: lease.subscription)
        let history = subscriptions[lease.subscription]?.slots[lease.message]?.history ?? SlotHistory()
        if isDeath && history.deaths + 1 >= settings.poisonDeathsMax {
            return .died(
                lease.subscription, lease.message, reason: "poison", error: error, isDeath: true, at: now.wall)
        }
        if history.attempts >= settings.attemptsMax {
            return .died(
                lease.subscription, lease.message, reason: "attempts", error: error, isDeath: isDeath, at: now.wall)
        }
        let delay = after.map(bounded) ?? backoff(attempt: history.attempts, settings)
        return .returned(
            lease.subscription, lease.message, readyAt: now.wall.adding(milliseconds: delay), countsAttempt: true,
            isDeath: isDeath, error: error)
    }

    /// Full jitter: uniform in 0…min(cap, base·2ⁿ), n counted from the first failure. Source: "Exponential Backoff And
    /// Jitter", AWS Architecture Blog, 2015.
    private func backoff(attempt: UInt32, _ settings: DeliverySettings) -> Int64 {
        let doublings = Int64(min(max(attempt, 1) - 1, 40))
        let (grown, overflow) = settings.backoffBaseMilliseconds.multipliedReportingOverflow(by: 1 << doublings)
        let ceiling = overflow ? settings.backoffCapMilliseconds : min(grown, settings.backoffCapMilliseconds)
        return ceiling <= 0 ? 0 : Int64.random(in: 0...ceiling, using: &random)
    }

    private func bounded(_ milliseconds: Int64) -> Int64 { min(max(milliseconds, 0), 366 * 86_400_000) }

    /// Errors and reasons are kept to 1024 bytes: their space is part of the reserve.
    private func clipped(_ text: String) -> String {
        if text.utf8.count <= 1024 { return text }
        var clipped = ""
        for character in text where clipped.utf8.count + character.utf8.count <= 1021 { clipped.append(character) }
        return clipped + "…"
    }

    /// Takes the lease out of every index and gives its consumer the credit back.
    func end(_ lease: Lease) {
        leases[lease.id] = nil
        sessions[lease.session]?.leases.remove(lease.id)
        if let consumer = lease.consumer {
            sessions[lease.session]?.consumers[consumer]?.unsettled -= 1
        }
        markDirty(lease.subscription)
    }

    /// A lease that ended without a verdict.
    func abandon(_ lease: Lease, error: String, now: Now) {
        let fact = retry(lease, error: error, after: nil, isDeath: true, now: now)
        if recordReserved([fact]) { end(lease) }
    }

    // MARK: Time

    /// Ends what is over at `now`: leases, waits, delays. Call before each batch of requests and when
    /// ``nextDeadline(now:)`` comes.
    func advance(now: Now) {
        while let first = leaseDeadlines.first, first.deadline <= now.monotonic {
            _ = leaseDeadlines.removeFirst()
            guard let lease = leases[first.lease], lease.deadline == first.deadline else { continue }
            abandon(lease, error: "the lease expired", now: now)
        }
        while let first = popDeadlines.first, first.deadline <= now.monotonic {
            _ = popDeadlines.removeFirst()
            guard let pop = removePop(first.pop, of: first.session) else { continue }
            respond(pop.origin, .popped(nil))
        }
        while let first = delayed.first, first.until <= now.wall {
            _ = delayed.removeFirst()
            let place = subscriptions[first.subscription]?.slots[first.message]?.place
            if place == .delayed(until: first.until) { makeReady(first.subscription, first.message) }
        }
    }

    /// Milliseconds until something is over; nil when nothing waits. The wall clock may jump: never more than 1 s
    /// while a message is delayed.
    func nextDeadline(now: Now) -> Int64? {
        var waits: [Int64] = []
        if let first = leaseDeadlines.first { waits.append(first.deadline - now.monotonic) }
        if let first = popDeadlines.first { waits.append(first.deadline - now.monotonic) }
        if let first = delayed.first { waits.append(min(first.until.milliseconds - now.wall.milliseconds, 1_000)) }
        return waits.min().map { max($0, 0) }
    }
}
