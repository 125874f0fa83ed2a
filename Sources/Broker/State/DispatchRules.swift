import BrokerProtocol

/// What a subscription's settings say about each delivery, ready for use.
struct DispatchRules {
    let leaseMilliseconds: Int64
    let leaseTotalMilliseconds: Int64
    let ageingMilliseconds: Int64
    let rate: DeliveryRate
    /// Tokens of the subscription's bucket at most.
    let burst: Int64
    let keyRate: DeliveryRate
    let inFlightMax: Int
    let isSticky: Bool
    let parks: Bool
    /// Nil: one row for all.
    let fairHeader: String?
    let fairWeights: FairWeights

    init(_ settings: DeliverySettings) {
        leaseMilliseconds = settings.leaseMilliseconds
        leaseTotalMilliseconds = settings.leaseTotalMilliseconds
        ageingMilliseconds = settings.priorityAgeingMilliseconds
        rate = settings.rate
        burst = settings.rateBurst > 0 ? Int64(settings.rateBurst) : settings.rate.tokensOfSecond
        keyRate = settings.keyRate
        inFlightMax = Int(settings.inFlightMax)
        isSticky = settings.isSticky
        parks = settings.parksAfterDead
        fairHeader = settings.fairHeader.isEmpty ? nil : settings.fairHeader
        fairWeights = settings.fairWeights
        isGated = rate.count > 0 || inFlightMax > 0
        isPlain = !isGated && keyRate.count == 0 && !isSticky && fairHeader == nil
    }

    /// Whether something may stop all deliveries for a while.
    let isGated: Bool
    /// Whether nothing needs to be noted about a delivery.
    let isPlain: Bool
}
