import BrokerProtocol

/// Pairs of header and value, all of which a message must have. Empty: every message passes.
struct MessageFilter: Hashable, Sendable {
    /// Sorted, none twice: two spellings of one filter are equal.
    let pairs: [Header]

    static let pairsMax = 16
    static let bytesMax = 4_096
    static let all = MessageFilter()

    init(_ pairs: [Header] = []) {
        self.pairs = Set(pairs).sorted { ($0.key, $0.value) < ($1.key, $1.value) }
    }

    var isEmpty: Bool { pairs.isEmpty }
    /// In the log.
    var bytes: Int { pairs.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 4 } }

    func matches(_ headers: [Header]) -> Bool { pairs.allSatisfy { headers.contains($0) } }

    /// - Throws: `SETTING_INVALID` with the limit.
    func validate(for name: SubscriptionName) throws(BrokerError) {
        if isEmpty { return }
        if name.isDefault {
            throw BrokerError(.settingInvalid, "\(name) gets every message; a subscription with a filter has a name")
        }
        if pairs.count > Self.pairsMax || bytes > Self.bytesMax {
            throw BrokerError(
                .settingInvalid, "a filter has at most \(Self.pairsMax) pairs and \(Self.bytesMax) bytes of them")
        }
    }
}

extension Topic {
    /// How many subscriptions want a message with these headers.
    func readerCount(of headers: [Header]) -> Int {
        filteredCount == 0 ? subscriptions.count : subscriptions.count { $0.wants(headers) }
    }
}

extension Subscription {
    func wants(_ headers: [Header]) -> Bool { filter.isEmpty || filter.matches(headers) }
}

extension BrokerState {
    /// Applies a filter that stands right behind the definition; a subscription that has one is always queued.
    func filterSubscription(_ id: SubscriptionID, _ filter: MessageFilter) {
        if let pattern = patterns[id] { return self.filter(pattern, filter) }
        guard let subscription = subscriptions[id], subscription.filter.isEmpty, !filter.isEmpty else { return }
        subscription.filter = filter
        subscription.topic.filteredCount += 1
        definitionBytes += filter.bytes
        if !subscription.isQueued { subscription.becomeQueued() }
    }

    func forgetFilter(of subscription: Subscription) {
        if subscription.filter.isEmpty { return }
        subscription.topic.filteredCount -= 1
        definitionBytes -= subscription.filter.bytes
    }

    /// Adds a message that nobody wants: its id is used, and its dedup id is remembered, but nothing of it is kept.
    func decideUnwanted(
        _ outgoing: OutgoingMessage, _ topic: Topic, _ plan: inout PublishPlan, now: Now
    ) throws(BrokerError) -> PublishReceipt {
        let bytes = 512
        try demandSpace(bytes: bytes + plan.bytes, owing: plan.owed)
        let message = PublishedMessage(
            id: MessageID(rawValue: nextMessage + plan.count), topic: topic.id, publishedAt: now.wall,
            priority: outgoing.priority, orderingKey: nil, deliverAt: nil, expiresAt: nil, dedupID: outgoing.dedupID,
            headers: [], body: [])
        plan.add(message, to: topic, owing: 0, bytes: bytes, content: 0)
        return PublishReceipt(id: message.id, isUnwanted: true)
    }
}
