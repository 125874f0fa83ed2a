import BrokerProtocol

/// A subscription has more dead letters than its `dead_max`, or no longer.
struct DeadAlarm: Hashable, Sendable {
    let subscription: SubscriptionName
    let dead: Int
    let deadMax: UInt64
    let isRaised: Bool
}

extension BrokerState {
    /// Raises or ends the alarm of a subscription; call when something about it may have changed.
    func checkAlarm(of subscription: Subscription) {
        if subscription.dead.isEmpty && !subscription.isAlarmed || subscriptions[subscription.id] == nil { return }
        let deadMax = subscription.settings.deadMax
        let isRaised = deadMax > 0 && UInt64(subscription.dead.count) > deadMax
        if isRaised == subscription.isAlarmed { return }
        subscription.isAlarmed = isRaised
        alarmCount += isRaised ? 1 : -1
        emit(
            .deadAlarm(
                DeadAlarm(
                    subscription: subscription.name, dead: subscription.dead.count, deadMax: deadMax,
                    isRaised: isRaised)))
    }
}
