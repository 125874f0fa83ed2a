import BrokerProtocol

@testable import Broker

/// Cancel, reschedule, pauses, parked keys and backoffs, as plainly as the rest of the model.
extension Model {
    // MARK: Cancel and reschedule

    private func subscriptions(owing id: MessageID) -> [(topic: Int, subscription: Int, place: Place)] {
        topics.indices.flatMap { topic in
            topics[topic].subscriptions.indices.compactMap { second in
                topics[topic].subscriptions[second].slots[id].map { (topic, second, $0.place) }
            }
        }
    }

    private func isDead(_ place: Place) -> Bool { if case .dead = place { true } else { false } }
    private func isLeased(_ place: Place) -> Bool { if case .leased = place { true } else { false } }

    private func refusal(of id: MessageID) -> BrokerError.Code? {
        let owing = subscriptions(owing: id)
        if owing.contains(where: { isLeased($0.place) }) { return .messageLeased }
        return owing.allSatisfy { isDead($0.place) } ? .messageUnknown : nil
    }

    mutating func cancel(_ id: MessageID) -> BrokerError.Code? {
        if let refusal = refusal(of: id) { return refusal }
        for (topic, second, place) in subscriptions(owing: id) where !isDead(place) {
            forget(topics[topic].name, topics[topic].subscriptions[second].name, id)
        }
        return nil
    }

    mutating func reschedule(_ ids: [MessageID], _ time: Int64) -> [BrokerError.Code?] {
        var added = 0
        var accepted: [MessageID] = []
        let results = ids.map { id -> BrokerError.Code? in
            if let refusal = refusal(of: id) { return refusal }
            let more = time > wall ? subscriptions(owing: id).count { $0.place == .ready } : 0
            if more > 0, delayedCount + added + more > limits.delayedMax { return .delayedLimit }
            added += more
            accepted.append(id)
            return nil
        }
        let until = max(time, wall)
        for id in accepted {
            for (topic, second, place) in subscriptions(owing: id) {
                if let index = topics[topic].messages.firstIndex(where: { $0.id == id }) {
                    topics[topic].messages[index].deliverAt = until
                }
                if isDead(place) { continue }
                change(topics[topic].name, topics[topic].subscriptions[second].name, id) { slot in
                    slot.place = .delayed(until: until, byWallClock: true)
                    slot.waited = nil
                    slot.holdsKey = false
                }
            }
        }
        if time <= wall { wake(byWallClock: [true]) }
        return results
    }

    // MARK: Pauses

    func isPaused(_ at: (topic: Int, subscription: Int)) -> Bool {
        topics[at.topic].deliveryPause != nil || topics[at.topic].subscriptions[at.subscription].pause != nil
    }

    mutating func set(_ target: PauseTarget, _ scope: PauseScope, _ pause: Pause?) -> BrokerError.Code? {
        switch target {
        case .topic(let name):
            guard let topic = topicIndex(name.text) else { return .topicUnknown }
            if isFull && pause != nil { return .diskFull }
            if scope != .delivery { topics[topic].intakePause = pause }
            if scope != .intake { topics[topic].deliveryPause = pause }
        case .subscription(let name):
            if scope != .delivery { return .settingInvalid }
            guard topicIndex(name.topic.text) != nil else { return .topicUnknown }
            guard let at = index(name) else { return .subscriptionUnknown }
            if isFull && pause != nil { return .diskFull }
            topics[at.topic].subscriptions[at.subscription].pause = pause
        }
        return nil
    }

    mutating func endPauses() {
        func isOver(_ pause: Pause?) -> Bool { pause?.until.map { $0 <= wall } ?? false }
        for topic in topics.indices {
            if isOver(topics[topic].intakePause) { topics[topic].intakePause = nil }
            if isOver(topics[topic].deliveryPause) { topics[topic].deliveryPause = nil }
            for second in topics[topic].subscriptions.indices
            where isOver(topics[topic].subscriptions[second].pause) {
                topics[topic].subscriptions[second].pause = nil
            }
        }
    }

    // MARK: Parked keys

    mutating func park(_ topic: String, _ subscription: String, _ message: MessageID) {
        guard let at = index(SubscriptionName("\(topic)@\(subscription)")!), settings(at).parksAfterDead,
            let key = topics[at.topic].messages.first(where: { $0.id == message })?.key
        else { return }
        topics[at.topic].subscriptions[at.subscription].parked[key, default: []].insert(message)
    }

    /// The message is over: it parks nothing any more.
    mutating func unpark(_ at: (topic: Int, subscription: Int), _ message: MessageID) {
        for key in topics[at.topic].subscriptions[at.subscription].parked.keys {
            topics[at.topic].subscriptions[at.subscription].parked[key]?.remove(message)
            if topics[at.topic].subscriptions[at.subscription].parked[key] == [] {
                topics[at.topic].subscriptions[at.subscription].parked[key] = nil
            }
        }
    }

    /// - Returns: How many were parked.
    mutating func release(_ at: (topic: Int, subscription: Int), _ keys: [String]) -> UInt64 {
        let parked = topics[at.topic].subscriptions[at.subscription].parked
        let released = keys.isEmpty ? Array(parked.keys) : Set(keys).filter { parked[$0] != nil }.map { $0 }
        for key in released { topics[at.topic].subscriptions[at.subscription].parked[key] = nil }
        return UInt64(released.count)
    }

    // MARK: Backoff

    /// The time to the next try after so many attempts.
    static func backoff(_ settings: DeliverySettings, _ attempts: UInt32) -> ClosedRange<Int64> {
        let cap = settings.backoffCapMilliseconds
        switch settings.backoff {
        case .exponential:
            var ceiling = settings.backoffBaseMilliseconds
            for _ in 1..<max(attempts, 1) { ceiling = min(ceiling * 2, cap) }
            return 0...min(ceiling, cap)
        case .linear:
            let delay = min(cap, settings.backoffBaseMilliseconds * Int64(attempts))
            return delay...delay
        case .list:
            let delay = settings.backoffList[min(Int(attempts), settings.backoffList.count) - 1]
            return delay...delay
        }
    }
}
