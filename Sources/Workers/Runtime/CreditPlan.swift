import BrokerProtocol

/// Shares the deliveries that a runtime may hold among its subscriptions.
///
/// A subscription shows demand by holding as many deliveries as it has credit. Those with demand share the budget
/// evenly; the others keep credit for one more delivery, so that they can show theirs. At most the budget and one
/// delivery per subscription are held.
struct CreditPlan {
    let budget: Int
    let order: [SubscriptionName]
    private(set) var credit: [SubscriptionName: Int]

    /// - Parameter budget: Deliveries held at a time, from 1.
    init(budget: Int, subscriptions: [SubscriptionName]) {
        self.budget = budget
        order = subscriptions
        let share = max(1, budget / max(1, subscriptions.count))
        credit = Dictionary(uniqueKeysWithValues: subscriptions.map { ($0, share) })
    }

    /// Call when a delivery of a subscription has come.
    /// - Parameter held: Deliveries in hand by subscription.
    /// - Returns: The subscriptions whose credit changes.
    mutating func delivered(
        _ subscription: SubscriptionName, held: [SubscriptionName: Int]
    ) -> [(SubscriptionName, Int)] {
        guard let current = credit[subscription], held[subscription, default: 0] >= current else { return [] }
        let modest = order.filter { held[$0, default: 0] < credit[$0, default: 0] }
        let rest = budget - modest.reduce(0) { $0 + max(1, held[$1, default: 0]) }
        let share = max(1, rest / (order.count - modest.count))
        if share <= current { return [] }
        var changes: [(SubscriptionName, Int)] = []
        for name in order {
            let fair = modest.contains(name) ? held[name, default: 0] + 1 : share
            if credit.updateValue(fair, forKey: name) != fair { changes.append((name, fair)) }
        }
        return changes
    }
}
