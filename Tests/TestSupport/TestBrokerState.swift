import BrokerProtocol

extension TestBroker.State {
    mutating func publish(_ outgoing: OutgoingMessage) -> MessageID {
        let message = TestBroker.Message(id: MessageID(rawValue: nextID), outgoing: outgoing, publishedAt: now)
        nextID += 1
        record.published.append(outgoing)
        messages[outgoing.topic, default: []].append(message)
        for name in ready.keys where name.topic == outgoing.topic {
            ready[name]?.append(TestBroker.Entry(message: message, visibleAt: now))
        }
        return message.id
    }

    mutating func subscribe(_ name: SubscriptionName, start: StartPosition) {
        if ready[name] != nil { return }
        let old = start == .beginning ? messages[name.topic, default: []] : []
        ready[name] = old.map { TestBroker.Entry(message: $0, visibleAt: now) }
    }

    /// Hands ready messages to the consumers with credit, in the order in which these subscribed.
    mutating func dispatch() {
        for key in consumerOrder {
            while let consumer = consumers[key], consumer.unsettled < consumer.credit,
                pauses[consumer.subscription].map({ $0.milliseconds <= now }) ?? true,
                let index = ready[consumer.subscription]?.firstIndex(where: { $0.visibleAt <= now }),
                var entry = ready[consumer.subscription]?.remove(at: index)
            {
                entry.attempt += 1
                entry.deliveries += 1
                let lease = LeaseID(rawValue: nextLease)
                nextLease += 1
                leases[lease] = TestBroker.Lease(
                    entry: entry, subscription: consumer.subscription, owner: key,
                    deadline: now + consumer.leaseMilliseconds)
                consumers[key]?.unsettled += 1
                let delivery = Delivery(
                    consumer: key.consumer, lease: lease, leaseMilliseconds: consumer.leaseMilliseconds,
                    id: entry.message.id, subscription: consumer.subscription, attempt: entry.attempt,
                    deliveries: entry.deliveries, publishedAt: WallTime(milliseconds: entry.message.publishedAt),
                    lastError: entry.lastError, priority: entry.message.outgoing.priority,
                    orderingKey: entry.message.outgoing.orderingKey, headers: entry.message.outgoing.headers,
                    body: entry.message.outgoing.body)
                record.deliveries.append(delivery)
                consumer.output.yield(delivery)
            }
        }
    }

    mutating func pause(_ target: PauseTarget, until time: WallTime?) -> BrokerError? {
        if !faults.pauses.isEmpty { return faults.pauses.removeFirst() }
        guard case .subscription(let name) = target, ready[name] != nil else {
            return BrokerError(.subscriptionUnknown, "there is no subscription \(target)")
        }
        pauses[name] = time ?? WallTime(milliseconds: .max)
        record.pauses.append(TestBroker.Pause(name, until: time))
        return nil
    }

    func owned(_ id: LeaseID, by connection: Int) -> TestBroker.Lease? {
        guard let lease = leases[id], lease.owner.connection == connection else { return nil }
        return lease
    }

    private mutating func end(_ id: LeaseID) -> TestBroker.Lease? {
        guard let lease = leases.removeValue(forKey: id) else { return nil }
        consumers[lease.owner]?.unsettled -= 1
        return lease
    }

    private mutating func putBack(_ entry: TestBroker.Entry, _ name: SubscriptionName) {
        var queue = ready[name, default: []]
        queue.insert(entry, at: queue.firstIndex { $0.message.id > entry.message.id } ?? queue.count)
        ready[name] = queue
    }

    mutating func abandon(_ id: LeaseID, _ error: String) {
        guard let lease = end(id) else { return }
        var entry = lease.entry
        entry.lastError = error
        putBack(entry, lease.subscription)
    }

    /// - Returns: Nil when settled.
    mutating func settle(_ settlement: Settlement, by connection: Int) -> BrokerError? {
        guard owned(settlement.lease, by: connection) != nil, let lease = end(settlement.lease) else {
            return BrokerError(.leaseLost, "lease \(settlement.lease) is not held")
        }
        var entry = lease.entry
        let name = lease.subscription
        switch settlement.verdict {
        case .ack: record.acknowledged[name, default: []].append(entry.message.id)
        case .fail(let error, let after):
            record.failures[name, default: []].append(
                TestBroker.Failure(id: entry.message.id, error: error, afterMilliseconds: after))
            entry.lastError = error
            entry.visibleAt = now + (after ?? 0)
            if entry.attempt >= attemptsMax { bury(entry, name, "attempts") } else { putBack(entry, name) }
        case .release(let after):
            record.releases[name, default: []].append(after)
            entry.attempt -= 1
            entry.visibleAt = now + (after ?? 0)
            putBack(entry, name)
        case .reject(let reason): bury(entry, name, "rejected: \(reason)")
        }
        return nil
    }

    private mutating func bury(_ entry: TestBroker.Entry, _ name: SubscriptionName, _ reason: String) {
        record.dead[name, default: []].append(
            DeadLetter(
                id: entry.message.id, subscription: name, code: reason == "attempts" ? .attempts : .rejected,
                reason: reason, lastError: entry.lastError,
                attempts: entry.attempt, redrives: 0, publishedAt: WallTime(milliseconds: entry.message.publishedAt),
                deadAt: WallTime(milliseconds: now), headers: entry.message.outgoing.headers,
                body: entry.message.outgoing.body))
    }

    mutating func extend(_ ids: [LeaseID], _ milliseconds: Int64, by connection: Int) -> [LeaseID] {
        var lost: [LeaseID] = []
        for id in ids {
            if owned(id, by: connection) == nil {
                lost.append(id)
            } else {
                leases[id]?.deadline = now + milliseconds
                record.extensions.append(id)
            }
        }
        return lost
    }

    mutating func removeConsumer(_ key: TestBroker.ConsumerKey) {
        consumers.removeValue(forKey: key)?.output.finish()
        consumerOrder.removeAll { $0 == key }
    }

    mutating func close(_ connection: Int) {
        guard connections.remove(connection) != nil else { return }
        for (id, lease) in leases.sorted(by: { $0.key < $1.key }) where lease.owner.connection == connection {
            abandon(id, "the connection was lost")
        }
        for key in consumerOrder where key.connection == connection {
            consumers[key]?.output.finish(throwing: TestConnection.lost)
            removeConsumer(key)
        }
    }
}
