import BrokerProtocol

/// The pause of a queue, and what the broker refuses for a time.
extension RuntimeState {
    /// The wait of a delivery that is given back grows from base to cap with each time that it was handed out.
    private static let postponeBaseMilliseconds: Int64 = 1_000
    private static let postponeCapMilliseconds: Int64 = 60_000
    /// Between two tries of an outcome that a full disk refuses.
    private static let diskWaitMilliseconds: ClosedRange<Int64> = 1_000...5_000

    /// Asks for the pause; the delivery is given back when the broker has answered, so that it does not come again
    /// before.
    mutating func pause(_ index: Int, until time: WallTime, _ reason: String) {
        let item = held[index]
        if time <= wall() {
            // A pause that is over would resume the subscription, which somebody else may have paused.
            settle(index, Settling(lease: item.delivery.lease, releaseAfter: backoff(item)))
            return
        }
        let subscription = item.delivery.subscription
        let isAsked = held.contains { isPausing($0, subscription, item.generation) { $0 >= time } }
        held[index].stage = .pausing(until: time, reason: reason)
        if !isAsked { actions.append(.pause(subscription, until: time, generation: item.generation)) }
    }

    /// The broker answered to a pause, which is the answer to all that wanted this pause or a shorter one.
    mutating func paused(
        _ subscription: SubscriptionName, until time: WallTime, generation: Int, _ error: BrokerError?, _ now: Duration
    ) {
        let tickets = held.filter { isPausing($0, subscription, generation) { $0 <= time } }.map(\.ticket)
        if error == nil {
            counters.brokerAnswers += 1
            let reasons = held.compactMap { if case .pausing(time, let reason) = $0.stage { reason } else { nil } }
            actions.append(.report(.queuePaused(subscription, until: time, reason: reasons.first ?? "a worker asked")))
        }
        for ticket in tickets {
            guard let index = index(of: ticket) else { continue }
            if let error, error.isConnectionLoss {
                drop(index, error.description, now)
            } else if let error {
                postpone(index, error)
            } else {
                let lease = held[index].delivery.lease
                settle(index, Settling(lease: lease, .pauseQueue(until: time), wall: wall()))
            }
        }
        if let error {
            if error.isConnectionLoss { connectionLost(generation, error, now) }
        } else if generation == self.generation {
            releaseWaiting { $0 == subscription }
        }
    }

    private func isPausing(
        _ item: Held, _ subscription: SubscriptionName, _ generation: Int, _ isMeant: (WallTime) -> Bool
    ) -> Bool {
        guard case .pausing(let time, _) = item.stage else { return false }
        return item.delivery.subscription == subscription && item.generation == generation && isMeant(time)
    }

    /// True while a worker has asked to pause the subscription: nothing of it starts before the answer.
    func isBeingPaused(_ subscription: SubscriptionName) -> Bool {
        held.contains { isPausing($0, subscription, generation) { _ in true } }
    }

    /// Gives a delivery back whose outcome the broker refused: it is not the event's fault, so no attempt is counted.
    mutating func postpone(_ index: Int, _ error: BrokerError) {
        let item = held[index]
        let wait = backoff(item)
        counters.postponed += 1
        actions.append(.report(.postponed(attempt(item), error, wait: wait)))
        settle(index, Settling(lease: item.delivery.lease, releaseAfter: wait))
    }

    /// Even a release needs disk space, and a lease that runs out would count as a death: the outcome is kept.
    mutating func waitForDisk(_ index: Int, _ settling: Settling, _ error: BrokerError, _ now: Duration) {
        let wait = Duration.milliseconds(random(Self.diskWaitMilliseconds))
        counters.brokerAnswers += 1
        actions.append(.report(.waitsForDisk(attempt(held[index]), error, wait: wait)))
        held[index].stage = .refused(settling, again: now + wait)
    }

    /// Between a half and the whole of min(cap, base·2ⁿ): never at once, because the same refusal would follow.
    private func backoff(_ item: Held) -> Duration {
        let doublings = min(item.delivery.deliveries, 30) - min(item.delivery.deliveries, 1)
        let full = min(Self.postponeCapMilliseconds, Self.postponeBaseMilliseconds << Int64(doublings))
        return .milliseconds(random(full / 2...full))
    }
}

extension BrokerError.Code {
    /// The same request may be accepted later, when somebody has made room or let something go on.
    var isForATime: Bool {
        switch self {
        case .topicPaused, .topicFull, .topicLimit, .delayedLimit, .unconfirmedLimit: true
        default: false
        }
    }
}
