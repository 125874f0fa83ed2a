import BrokerProtocol

/// The ready messages of a subscription by the value of a header, and whose turn it is: deficit round robin, in which
/// each message costs one. Source: M. Shreedhar, G. Varghese, "Efficient Fair Queuing Using Deficit Round Robin", 1995.
final class FairRow {
    let header: String
    /// The values that have messages.
    private var shares: [String: Share] = [:]
    /// Messages from before the setting, and of values beyond the limit.
    private let rest = Share(value: nil)
    private var shareOf: [MessageID: Share] = [:]
    /// Whose turn it is stands first. One without a ready message leaves when its turn comes.
    private var ring = SlidingArray<Share>()
    /// Further values share one turn.
    static let valuesMax = 100_000

    private final class Share {
        let value: String?
        /// Highest priority first; those that have ready messages.
        var lanes: [(priority: Int, ids: OrderedIDs)] = []
        var messageCount = 0
        var isInRing = false
        /// Deliveries of its turn.
        var served = 0
        var ageing = Ageing()

        init(value: String?) { self.value = value }

        func insert(_ id: MessageID, _ lane: Int) {
            let index = lanes.firstIndex { $0.priority <= lane } ?? lanes.count
            if index == lanes.count || lanes[index].priority != lane { lanes.insert((lane, OrderedIDs()), at: index) }
            lanes[index].ids.insert(id)
        }

        /// - Returns: False when it was not there.
        @discardableResult
        func remove(_ id: MessageID, _ lane: Int) -> Bool {
            guard let index = lanes.firstIndex(where: { $0.priority == lane }), lanes[index].ids.remove(id) else {
                return false
            }
            if lanes[index].ids.isEmpty { lanes.remove(at: index) }
            return true
        }
    }

    /// - Parameter ready: What is ready already, by lane.
    init(header: String, ready: [OrderedIDs]) {
        self.header = header
        for lane in ready.indices.reversed() where !ready[lane].isEmpty { rest.lanes.append((lane, ready[lane])) }
        if !rest.lanes.isEmpty { join(rest) }
    }

    var valueCount: Int { shares.count }

    /// A message that was published, or written again, since the header counts. Without the header its value is empty.
    func assign(_ id: MessageID, _ headers: [Header], _ lane: Int) {
        if shareOf[id] != nil { return }
        let value = headers.first { $0.key == header }?.value ?? ""
        if shares[value] == nil {
            if shares.count >= Self.valuesMax { return }
            shares[value] = Share(value: value)
        }
        guard let share = shares[value] else { return }
        share.messageCount += 1
        shareOf[id] = share
        if rest.remove(id, lane) { enter(id, lane) }
    }

    /// It is over.
    func forget(_ id: MessageID) {
        guard let share = shareOf.removeValue(forKey: id) else { return }
        share.messageCount -= 1
        if share.messageCount == 0, let value = share.value { shares[value] = nil }
    }

    /// It is ready.
    func enter(_ id: MessageID, _ lane: Int) {
        let share = shareOf[id] ?? rest
        share.insert(id, lane)
        if !share.isInRing { join(share) }
    }

    /// It is ready no more.
    func exit(_ id: MessageID, _ lane: Int) { (shareOf[id] ?? rest).remove(id, lane) }

    private func join(_ share: Share) {
        share.isInRing = true
        share.served = 0
        ring.append(share)
    }

    private func leaveFirst() -> Share {
        let share = ring[ring.start]
        ring.drop(before: ring.start + 1)
        share.isInRing = false
        return share
    }

    /// As ``Subscription/next(now:since:)``, for the value whose turn it is.
    func next(_ rules: DispatchRules, now: WallTime, since: (MessageID) -> WallTime) -> MessageID? {
        while !ring.isEmpty {
            let share = ring[ring.start]
            guard let first = share.lanes.first?.ids.first else {
                _ = leaveFirst()
                continue
            }
            share.ageing.choice = .plain
            if share.lanes.count == 1 || rules.ageingMilliseconds == 0 { return first }
            let behind = share.lanes.dropFirst().lazy.compactMap(\.ids.first)
            return share.ageing.choose(first, behind, rules.ageingMilliseconds, now: now, since: since)
        }
        return nil
    }

    /// The message that was looked at is handed out.
    func noteServed(_ weights: FairWeights) {
        if ring.isEmpty { return }
        let share = ring[ring.start]
        share.ageing.noteServed()
        share.served += 1
        if share.served >= Int(share.value.map { weights[$0] } ?? 1) { join(leaveFirst()) }
    }
}
