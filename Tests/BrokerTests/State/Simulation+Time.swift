import BrokerProtocol

@testable import Broker

/// Random cancels, new times, pauses and released keys.
extension Simulation {
    private func someMessages() -> [MessageID] {
        let all = model.topics.flatMap { $0.messages.map(\.id) }.sorted()
        var ids = (0..<pick(1...3)).compactMap { _ in all.randomElement(using: &random) }
        if chance(20) { ids.append(MessageID(rawValue: UInt64(pick(1...Int64(model.nextMessage + 1))))) }
        var seen: Set<MessageID> = []
        return ids.filter { seen.insert($0).inserted }
    }

    func cancel() throws {
        let ids = someMessages()
        let wanted = ids.map { model.cancel($0) }
        guard case .settled(let results)? = try ask(.cancel(ids), session()) else {
            throw Disagreement(description: "no result per id")
        }
        try demand("results of a cancel", results.map { $0?.code }, wanted)
    }

    func reschedule() throws {
        let ids = someMessages()
        let time = now.wall.adding(milliseconds: chance(25) ? pick(-5_000...0) : pick(1...8_000))
        let wanted = model.reschedule(ids, time.milliseconds)
        guard case .settled(let results)? = try ask(.reschedule(ids, time), session()) else {
            throw Disagreement(description: "no result per id")
        }
        try demand("results of a reschedule", results.map { $0?.code }, wanted)
    }

    func pause() throws {
        let name = someSubscription()
        let target: PauseTarget = chance(50) ? .topic(name.topic) : .subscription(name)
        let scope = chance(60) ? .delivery : PauseScope.allCases.randomElement(using: &random)!
        var request = Request.resume(target, scope)
        var pause: Model.Pause?
        if chance(55) {
            let until = chance(70) ? now.wall.adding(milliseconds: pick(-1_000...4_000)) : nil
            request = .pause(target, scope, until: until)
            // A time that has passed resumes.
            if until.map({ $0 > now.wall }) ?? true { pause = Model.Pause(until: until?.milliseconds) }
        }
        let wanted = model.set(target, scope, pause)
        let response = try ask(request, session())
        var refusal: BrokerError.Code?
        if case .refused(let error)? = response { refusal = error.code }
        try demand("\(request)", refusal, wanted)
    }

    func releaseKeys() throws {
        let name = someSubscription()
        guard let at = model.index(name) else { return }
        let keys = chance(40) ? [] : ["key-\(pick(0...1))"]
        let wanted = model.release(at, keys)
        try demand("released keys", try ask(.keyRelease(name, keys), session()), .count(wanted))
    }

    func compareTimeAndKeys(_ topic: Model.Topic, _ subscription: Model.Subscription, _ real: Subscription) throws {
        let name = "\(topic.name)@\(subscription.name)"
        func times(_ pause: Pause?) -> [Int64?] { pause.map { [$0.until?.milliseconds] } ?? [] }
        func times(_ pause: Model.Pause?) -> [Int64?] { pause.map { [$0.until] } ?? [] }
        try demand("pause of \(name)", times(real.ownPause), times(subscription.pause))
        try demand("pause of \(topic.name)", times(real.topic.deliveryPause), times(topic.deliveryPause))
        try demand("intake of \(topic.name)", times(real.topic.intakePause), times(topic.intakePause))
        let parked = real.keys.filter { !$0.value.parkedBy.isEmpty }.mapValues { Set($0.parkedBy) }
        try demand("parked keys of \(name)", parked, subscription.parked)
    }
}
