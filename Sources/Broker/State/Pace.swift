import BrokerProtocol

/// How fast a subscription may deliver, and when it goes on.
struct Pace {
    /// Nil: no delivery has needed a token so far.
    var bucket: TokenBucket?
    /// Those that are not full.
    var keyBuckets: [String: TokenBucket] = [:]
    /// When they are full again, roughly.
    var full = Heap<KeyTime>()
    /// Ordering keys that wait for a token.
    var limited = Heap<KeyTime>()
    /// The time that is noted in the broker's list.
    var wakeAt: Int64?
    /// How often a delivery had to wait for a token since the start.
    var waits: UInt64 = 0

    struct KeyTime: Comparable {
        let time: Int64
        let key: String
        static func < (left: Self, right: Self) -> Bool {
            left.time == right.time ? left.key < right.key : left.time < right.time
        }
    }

    /// - Returns: When the key has its next token; nil when it has one.
    mutating func tokenTime(of key: String, _ rate: DeliveryRate, at now: Int64) -> Int64? {
        guard var bucket = keyBuckets[key] else { return nil }
        bucket.refill(rate, tokensMax: rate.tokensOfSecond, at: now)
        keyBuckets[key] = bucket
        return bucket.hasToken ? nil : bucket.tokenAt
    }

    /// Takes a token of a key that has one.
    mutating func take(of key: String, _ rate: DeliveryRate, at now: Int64) {
        let isNew = keyBuckets[key] == nil
        var bucket = keyBuckets[key] ?? TokenBucket(full: rate.tokensOfSecond, rate, at: now)
        bucket.refill(rate, tokensMax: rate.tokensOfSecond, at: now)
        bucket.take()
        keyBuckets[key] = bucket
        if isNew { full.insert(KeyTime(time: bucket.fullAt, key: key)) }
        // Twice as fast as they come, so that no more are kept than are not full.
        for _ in 0..<2 { dropFull(rate, at: now) }
    }

    private mutating func dropFull(_ rate: DeliveryRate, at now: Int64) {
        guard let first = full.first, first.time <= now else { return }
        full.removeFirst()
        guard var bucket = keyBuckets[first.key] else { return }
        bucket.refill(rate, tokensMax: rate.tokensOfSecond, at: now)
        let time = bucket.fullAt
        keyBuckets[first.key] = time <= now ? nil : bucket
        if time > now { full.insert(KeyTime(time: time, key: first.key)) }
    }
}

/// When a subscription goes on. Earliest first.
struct SubscriptionWake: Comparable {
    let time: Int64
    let subscription: SubscriptionID
    static func < (left: Self, right: Self) -> Bool {
        (left.time, left.subscription) < (right.time, right.subscription)
    }
}

extension BrokerState {
    /// The subscription is looked at again at this time, on the monotonic clock.
    func wake(_ subscription: Subscription, at time: Int64) {
        if let noted = subscription.pace.wakeAt, noted <= time { return }
        subscription.pace.wakeAt = time
        wakes.insert(SubscriptionWake(time: time, subscription: subscription.id))
    }

    func wakeSubscriptions(now: Now) {
        while let first = wakes.first, first.time <= now.monotonic {
            wakes.removeFirst()
            guard let subscription = subscriptions[first.subscription], subscription.pace.wakeAt == first.time
            else { continue }
            subscription.pace.wakeAt = nil
            wakeKeys(of: subscription, until: now.monotonic)
            markDirty(subscription)
        }
    }

    /// Ordering keys whose token has come go on.
    func wakeKeys(of subscription: Subscription, until time: Int64) {
        while let first = subscription.pace.limited.first, first.time <= time {
            subscription.pace.limited.removeFirst()
            if let id = subscription.resume(first.key, at: first.time) { move(subscription.id, id, to: .ready) }
        }
        if let first = subscription.pace.limited.first { wake(subscription, at: first.time) }
    }

    /// Whether the bounds of the whole subscription let a message go; otherwise it is looked at again when they do.
    func mayDeliver(_ subscription: Subscription, leases: Bool, now: Now) -> Bool {
        let rules = subscription.rules
        if subscription.readyCount == 0 { return false }
        if leases && rules.inFlightMax > 0 && subscription.leasedCount >= rules.inFlightMax { return false }
        if rules.rate.count == 0 { return true }
        var bucket = subscription.pace.bucket ?? TokenBucket(full: rules.burst, rules.rate, at: now.monotonic)
        bucket.refill(rules.rate, tokensMax: rules.burst, at: now.monotonic)
        subscription.pace.bucket = bucket
        if bucket.hasToken { return true }
        subscription.pace.waits += 1
        wake(subscription, at: bucket.tokenAt)
        return false
    }
}
