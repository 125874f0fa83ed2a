import BrokerProtocol

/// What consumers and pops read: one subscription, or all members of a pattern together.
class Source {
    final var name: SubscriptionName
    /// In the order of creation.
    final var consumers: [Consumer] = []
    /// Consumers with free credit, by session.
    final var crews = TurnQueue<Crew>()
    /// Deliveries to consumers, and beginnings of consumers.
    final var servings: UInt64 = 0
    /// Pops that wait, longest first.
    final var waiting: [WaitingPop] = []
    /// Consumers that have room again, and messages that are held for them.
    final var freed: [Consumer] = []
    /// What was held for consumers that have ended.
    final var orphans: [Heap<HeldMessage>] = []
    final var isDirty = false

    init(name: SubscriptionName) { self.name = name }

    /// There may be something to hand out.
    func markDirty(in state: BrokerState) {}

    /// Takes one message of the subscription whose turn it is.
    /// - Parameter take: Nil: that one can hand out nothing now, and says when it can.
    func takeInTurn(_ take: (Subscription) -> Notice?) -> Notice? { nil }
}

/// A message that waits for the consumer which its ordering key belongs to. An entry is a hint.
struct HeldMessage: Comparable {
    let place: HeldKey.Waiting
    let subscription: SubscriptionID

    static func < (left: Self, right: Self) -> Bool {
        left.place == right.place ? left.subscription < right.subscription : left.place < right.place
    }
}
