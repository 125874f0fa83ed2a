import BrokerProtocol

/// A token bucket on the monotonic clock, in whole numbers: a token is worth as many parts as its rate's period has
/// milliseconds, and each millisecond brings as many parts as the rate has tokens, so nothing is ever rounded away.
struct TokenBucket {
    private var parts: Int64
    private var at: Int64
    private var rate: DeliveryRate
    private var tokensMax: Int64

    /// - Parameter rate: Not the unbounded one.
    init(full tokens: Int64, _ rate: DeliveryRate, at now: Int64) {
        parts = tokens * rate.periodMilliseconds
        at = now
        self.rate = rate
        tokensMax = tokens
    }

    /// Brings it to the present. With another rate it keeps its tokens, as far as they fit.
    mutating func refill(_ rate: DeliveryRate, tokensMax: Int64, at now: Int64) {
        if now > at {
            let (gain, overflow) = (now - at).multipliedReportingOverflow(by: Int64(self.rate.count))
            parts = overflow || gain >= capacity - parts ? capacity : parts + gain
            at = now
        }
        if rate == self.rate && tokensMax == self.tokensMax { return }
        let (whole, rest) = parts.quotientAndRemainder(dividingBy: self.rate.periodMilliseconds)
        let scaled = whole * rate.periodMilliseconds + rest * rate.periodMilliseconds / self.rate.periodMilliseconds
        self.rate = rate
        self.tokensMax = tokensMax
        parts = min(scaled, capacity)
    }

    private var capacity: Int64 { tokensMax * rate.periodMilliseconds }
    var hasToken: Bool { parts >= rate.periodMilliseconds }

    /// Call when ``hasToken``.
    mutating func take() { parts -= rate.periodMilliseconds }

    /// When the next token is there.
    var tokenAt: Int64 { time(of: rate.periodMilliseconds) }
    /// When it is full.
    var fullAt: Int64 { time(of: capacity) }

    private func time(of wanted: Int64) -> Int64 {
        let count = Int64(rate.count)
        return at + max(wanted - parts + count - 1, 0) / count
    }
}
