import BrokerProtocol

extension BrokerState {
    /// The one retry policy: for a failure, an expired lease and a lost connection.
    /// - Parameter after: What the consumer asked for; it wins over the backoff.
    func retry(_ lease: Lease, error: String, after: Int64?, isDeath: Bool, now: Now) -> Fact {
        if let expired = expiry(of: lease, error: error, now: now) { return expired }
        let id = lease.subscription.id
        let settings = lease.subscription.settings
        let slot = lease.subscription.slots[lease.message]
        let attempts = slot?.attempts ?? 1
        let consumer = consumer(of: lease)
        let error = clipped(error)
        func died(_ reason: DeadReason) -> Fact {
            .died(
                id, lease.message,
                Death(reason: reason, error: error, consumer: consumer, isDeath: isDeath, at: now.wall))
        }
        if isDeath && UInt32(slot?.deaths ?? 0) + 1 >= settings.poisonDeathsMax { return died(.poison) }
        if attempts >= settings.attemptsMax { return died(.attempts) }
        let delay = after.map(bounded) ?? backoff(attempt: attempts, settings)
        if settings.retryAgeMaxMilliseconds > 0, let publishedAt = messages[lease.message]?.publishedAt,
            now.wall.adding(milliseconds: delay)
                > publishedAt.adding(milliseconds: settings.retryAgeMaxMilliseconds)
        {
            return died(.age)
        }
        return .returned(
            id, lease.message,
            Return(
                readyAt: steady(now).adding(milliseconds: delay), countsAttempt: true, isDeath: isDeath, error: error,
                consumer: consumer, at: now.wall))
    }

    /// A leased message that comes back after its time is over then; it keeps the error.
    /// - Parameter error: Of an attempt that failed; nil for a release.
    func expiry(of lease: Lease, error: String? = nil, now: Now) -> Fact? {
        guard let entry = messages[lease.message], isExpired(lease.message, entry, in: lease.subscription, now: now)
        else { return nil }
        lease.subscription.expired += 1
        if lease.subscription.topic.settings.expired == .drop { return .purged(lease.subscription.id, [lease.message]) }
        return .died(
            lease.subscription.id, lease.message,
            Death(
                reason: .expired, error: error.map(clipped), consumer: error == nil ? nil : consumer(of: lease),
                at: now.wall))
    }

    /// - Parameter attempt: The number of the attempt that failed, from 1 on.
    private func backoff(attempt: UInt32, _ settings: DeliverySettings) -> Int64 {
        let failures = Int64(max(attempt, 1)) - 1
        let (base, cap) = (settings.backoffBaseMilliseconds, settings.backoffCapMilliseconds)
        switch settings.backoff {
        case .exponential:
            // Full jitter. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
            let (grown, overflow) = base.multipliedReportingOverflow(by: 1 << min(failures, 40))
            let ceiling = overflow ? cap : min(grown, cap)
            return ceiling <= 0 ? 0 : Int64.random(in: 0...ceiling, using: &random)
        case .linear:
            let (grown, overflow) = base.multipliedReportingOverflow(by: failures + 1)
            return overflow ? cap : min(grown, cap)
        case .list:
            let list = settings.backoffList
            return list.isEmpty ? 0 : list[Int(min(failures, Int64(list.count) - 1))]
        }
    }

    func bounded(_ milliseconds: Int64) -> Int64 { min(max(milliseconds, 0), 366 * 86_400_000) }

    /// Errors and reasons are kept to 1024 bytes.
    func clipped(_ text: String) -> String {
        text.utf8.count <= 1024 ? text : text.clipped(toBytes: 1021) + "…"
    }

    /// Who has a lease, in at most 255 bytes; nil when its session is gone.
    func consumer(of lease: Lease) -> String? { sessions[lease.session]?.name.clipped(toBytes: 255) }
}
