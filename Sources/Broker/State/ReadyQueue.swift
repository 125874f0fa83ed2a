import BrokerProtocol

/// The messages of one subscription that wait for a consumer: by priority, then in publish order.
///
/// An entry is a hint: the subscription's slots say what is true, and the taker skips an entry whose slot is not
/// ready any more. So a message may stand here twice without being delivered twice.
struct ReadyQueue {
    private struct Lane {
        var fresh = Fifo<MessageID>()
        var returned = Heap<MessageID>()
    }

    /// By priority, 0 to 9.
    private var lanes = [Lane](repeating: Lane(), count: 10)

    /// Adds a message. Ids that only grow take the cheap way; one that comes back finds its old place by its id.
    mutating func insert(_ id: MessageID, priority: UInt8, isFresh: Bool) {
        let index = Int(min(priority, 9))
        if isFresh { lanes[index].fresh.append(id) } else { lanes[index].returned.insert(id) }
    }

    /// Takes the next entry for which `isReady` holds.
    mutating func next(where isReady: (MessageID) -> Bool) -> MessageID? {
        for index in lanes.indices.reversed() {
            while let id = takeSmallest(index) {
                if isReady(id) { return id }
            }
        }
        return nil
    }

    private mutating func takeSmallest(_ index: Int) -> MessageID? {
        guard let returned = lanes[index].returned.first else { return lanes[index].fresh.removeFirst() }
        if let fresh = lanes[index].fresh.first, fresh < returned { return lanes[index].fresh.removeFirst() }
        return lanes[index].returned.removeFirst()
    }
}
