import BrokerProtocol

@testable import Broker

/// The operations that are requests: each is decided by the model first, then asked of the state.
extension Simulation {
    private func message() -> OutgoingMessage {
        var message = OutgoingMessage(topic: topicName(), body: [UInt8](repeating: 1, count: Int(pick(0...2_900))))
        if chance(2) { message.body = [UInt8](repeating: 1, count: 3_001) }
        if chance(50) { message.priority = UInt8(pick(0...9)) }
        if chance(20) { message.deliverAt = now.wall.adding(milliseconds: pick(-2_000...8_000)) }
        if chance(20) { message.expiresAt = now.wall.adding(milliseconds: pick(-500...9_000)) }
        if chance(40) { message.orderingKey = "key-\(pick(0...1))" }
        if chance(30) { message.dedupID = "dedup-\(pick(0...5))" }
        return message
    }

    private func code(_ result: Result<PublishReceipt, BrokerError>) -> BrokerError.Code? {
        if case .failure(let error) = result { error.code } else { nil }
    }

    /// Adopts what the state answered where the model allows both answers.
    /// - Returns: Nil when the message counts as refused.
    private func decided(
        _ message: OutgoingMessage, _ plan: inout Model.Plan, _ isDuplicate: Bool?
    ) -> Result<PublishReceipt, BrokerError> {
        switch model.decide(message, plan) {
        case .refused(let code): return .failure(BrokerError(code, ""))
        case .duplicate(let id): return .success(PublishReceipt(id: id, isDuplicate: true))
        case .either(let id) where isDuplicate == true: return .success(PublishReceipt(id: id, isDuplicate: true))
        case .either:
            // The state forgot it; then the other limits decide.
            let topic = model.topicIndex(message.topic.text)!
            model.topics[topic].dedup[message.dedupID!] = nil
            return decided(message, &plan, false)
        case .new: return .success(PublishReceipt(id: model.add(message, to: &plan)))
        }
    }

    private func compare(_ real: Result<PublishReceipt, BrokerError>, _ wanted: Result<PublishReceipt, BrokerError>)
        throws
    {
        try demand("refusal of a publish", code(real), code(wanted))
        try demand("receipt", try? real.get(), try? wanted.get())
    }

    func publish() throws {
        let messages = (0..<pick(1...4)).map { _ in message() }
        guard case .published(let results)? = try ask(.publish(messages), session()), results.count == messages.count
        else { throw Disagreement(description: "no result per message") }
        for (message, result) in zip(messages, results) {
            var plan = Model.Plan()
            try compare(result, decided(message, &plan, (try? result.get())?.isDuplicate))
            model.publish(plan)
        }
    }

    func commit() throws {
        let session = session()
        let messages = (0..<pick(0...3)).map { _ in message() }
        let settlements = (0..<pick(0...2)).map { _ in Settlement(lease(of: session), verdict()) }
        let response = try ask(.commit(publishes: messages, settlements: settlements), session)
        var receipts: [PublishReceipt] = []
        if case .committed(let real)? = response { receipts = real }
        let isDoubled = Set(settlements.map(\.lease)).count < settlements.count
        var refusal: BrokerError.Code?
        if isDoubled || settlements.contains(where: { !model.isAlive($0.lease, session) }) { refusal = .leaseLost }
        var plan = Model.Plan()
        var wanted: [PublishReceipt] = []
        let dedup = model.topics.map(\.dedup)
        for (index, message) in messages.enumerated() where refusal == nil {
            let isDuplicate = receipts.indices.contains(index) ? receipts[index].isDuplicate : nil
            switch decided(message, &plan, isDuplicate) {
            case .success(let receipt): wanted.append(receipt)
            case .failure(let error): refusal = error.code
            }
        }
        if case .refused(let error)? = response {
            for (topic, dedup) in dedup.enumerated() { model.topics[topic].dedup = dedup }
            // A refused commit does not tell how it took a dedup id whose window is over by one clock.
            let hadEither = messages.contains { $0.dedupID != nil } && model.wallMax > model.wall
            if !hadEither { try demand("refusal of a commit", error.code, refusal) }
            return
        }
        try demand("refusal of a commit", nil, refusal)
        try demand("receipts of a commit", receipts, wanted)
        for settlement in settlements { model.settle(settlement.lease, settlement.verdict) }
        model.publish(plan)
    }

    private func verdict() -> Verdict {
        switch pick(0...9) {
        case 0...3: .ack
        case 4...5: .fail(error: "error-\(pick(0...99))")
        case 6: .fail(error: "later", afterMilliseconds: pick(-5...4_000))
        case 7...8: .release(afterMilliseconds: chance(50) ? nil : pick(0...2_000))
        default: .reject(reason: "reason-\(pick(0...99))")
        }
    }

    func settle() throws {
        let session = session()
        let settlements = (0..<pick(1...4)).map { _ in Settlement(lease(of: session), verdict()) }
        var wanted: [BrokerError.Code?] = []
        var taken: Set<LeaseID> = []
        for settlement in settlements {
            let isMine = model.isAlive(settlement.lease, session) && taken.insert(settlement.lease).inserted
            wanted.append(isMine ? nil : .leaseLost)
        }
        guard case .settled(let results)? = try ask(.settle(settlements), session) else {
            throw Disagreement(description: "no result per settlement")
        }
        try demand("results of a settle", results.map { $0?.code }, wanted)
        for (settlement, refusal) in zip(settlements, wanted) where refusal == nil {
            model.settle(settlement.lease, settlement.verdict)
        }
    }

    func extend() throws {
        let session = session()
        let leases = (0..<pick(1...3)).map { _ in lease(of: session) }
        let milliseconds = chance(90) ? pick(100...6_000) : pick(-5...99)
        let wanted = leases.map { model.extend($0, milliseconds, session) }
        guard case .settled(let results)? = try ask(.extend(leases, milliseconds: milliseconds), session) else {
            throw Disagreement(description: "no result per extension")
        }
        try demand("results of an extension", results.map { $0?.code }, wanted)
    }

    private func refusal(_ response: Response?) -> BrokerError.Code? {
        if case .refused(let error)? = response { error.code } else { nil }
    }

    func subscribe() throws {
        let (session, number, name) = (session(), UInt32(pick(1...4)), subscriptionName())
        let credit = UInt32(pick(1...5))
        let lease = chance(30) ? pick(50...9_000) : nil
        let start = start()
        var wanted: BrokerError.Code?
        if model.consumers.contains(where: { $0.session == session && $0.number == number }) {
            wanted = .consumerExists
        } else if let lease, lease < 100 {
            wanted = .settingInvalid
        } else {
            wanted = model.ensureSubscription(name, start)
        }
        let request = Request.subscribe(
            consumer: ConsumerID(rawValue: number), subscription: name, credit: credit, start: start,
            leaseMilliseconds: lease)
        try demand("a subscribe", refusal(try ask(request, session)), wanted)
        if wanted != nil { return }
        model.nextToken += 1
        model.consumers.append(
            Model.Consumer(
                token: model.nextToken, session: session, number: number, topic: name.topic.text,
                subscription: name.name, credit: credit, lease: lease))
    }

    private func start() -> StartPosition {
        switch pick(0...5) {
        case 0: .now
        case 1: .message(MessageID(rawValue: UInt64(pick(0...Int64(model.nextMessage + 1)))))
        case 2: .time(now.wall.adding(milliseconds: pick(-6_000...100)))
        default: .beginning
        }
    }

    func credit() throws {
        let (session, number, credit) = (session(), UInt32(pick(1...4)), UInt32(pick(0...6)))
        let index = model.consumers.firstIndex { $0.session == session && $0.number == number }
        let response = try ask(.credit(consumer: ConsumerID(rawValue: number), credit: credit), session)
        try demand("a credit", refusal(response), index == nil ? .consumerUnknown : nil)
        if let index { model.consumers[index].credit = credit }
    }

    func unsubscribe() throws {
        let (session, number) = (session(), UInt32(pick(1...4)))
        let isThere = model.consumers.contains { $0.session == session && $0.number == number }
        let response = try ask(.unsubscribe(consumer: ConsumerID(rawValue: number)), session)
        try demand("an unsubscribe", refusal(response), isThere ? nil : .consumerUnknown)
        model.consumers.removeAll { $0.session == session && $0.number == number }
    }

    func pop() throws {
        let session = session()
        let names = (0..<pick(1...3)).map { _ in someSubscription() }
        let acknowledges = chance(30)
        let timeout: Int64 = chance(50) ? 0 : chance(50) ? -1 : pick(1...5_000)
        correlation += 1
        let origin = Origin(session: SessionID(rawValue: session), correlation: correlation)
        var wanted: BrokerError.Code?
        if model.holds(session) >= Self.limits.leasesPerConnectionMax { wanted = .leaseLimit }
        for name in names where wanted == nil { wanted = model.ensureSubscription(name, .beginning) }
        state.handle(.pop(names, timeoutMilliseconds: timeout, acknowledges: acknowledges), from: origin, now: now)
        let effects = take()
        if let wanted {
            guard effects.count == 1, case .respond(origin, .refused(let error))? = effects.first else {
                throw Disagreement(description: "a pop that should be refused with \(wanted): \(effects)")
            }
            return try demand("a pop", error.code, wanted)
        }
        for name in names where !model.pops.contains(where: { $0.names.contains(name) }) {
            let at = model.index(name)!
            if model.takeNext(at) == nil { continue }
            guard effects.count == 1, case .answerPop(origin, let notice)? = effects.first else {
                throw Disagreement(description: "a pop that should have taken from \(name): \(effects)")
            }
            try demand("the first that has one", notice.subscription, name)
            return try acceptPopped(notice, session, acknowledges: acknowledges)
        }
        if timeout == 0 { return try demand("an empty pop", effects, [.respond(origin, .popped(nil))]) }
        try demand("a pop that waits", effects, [])
        model.pops.append(
            Model.Pop(
                correlation: correlation, session: session, names: names, acknowledges: acknowledges,
                deadline: timeout < 0 ? nil : model.monotonic + timeout))
    }

    func deadLetters(isRedrive: Bool) throws {
        let name = someSubscription()
        var wanted: BrokerError.Code?
        var ids: [MessageID] = []
        var all: [MessageID] = []
        if let at = model.index(name) {
            let dead = (model.deadLetters(at, []) ?? []).sorted()
            if chance(60) { ids = dead.filter { _ in chance(50) } }
            if chance(15) { ids.append(MessageID(rawValue: UInt64(pick(1...Int64(model.nextMessage))))) }
            if let named = model.deadLetters(at, ids) { all = named } else { wanted = .messageUnknown }
        } else {
            wanted = model.topicIndex(name.topic.text) == nil ? .topicUnknown : .subscriptionUnknown
        }
        let response = try ask(
            isRedrive
                ? .deadRedrive(name, DeadSelection(ids: ids)) : .deadPurge(name, DeadSelection(ids: ids)), session())
        try demand("a redrive or purge", refusal(response), wanted)
        guard wanted == nil, let at = model.index(name) else { return }
        try demand("its count", response, .count(UInt64(all.count)))
        if isRedrive { model.redrive(at, all) } else { model.purge(at, all) }
    }

    func createSubscription() throws {
        let (name, start) = (subscriptionName(), start())
        let wanted = model.ensureSubscription(name, start)
        try demand("a new subscription", refusal(try ask(.subscriptionCreate(name, start), session())), wanted)
    }

    func deleteSubscription() throws {
        let name = someSubscription()
        try delete(.subscriptionDelete(name)) { $0.deleteSubscription(name) }
    }

    func deleteTopic() throws {
        let name = topicName()
        try delete(.topicDelete(name)) { $0.deleteTopic(name.text) }
    }

    /// Those who used what is deleted are told.
    private func delete(_ request: Request, _ change: (inout Model) -> BrokerError.Code?) throws {
        let before = model
        let wanted = change(&model)
        correlation += 1
        let origin = Origin(session: SessionID(rawValue: session()), correlation: correlation)
        state.handle(request, from: origin, now: now)
        var pops: Set<UInt32> = []
        var consumers: Set<[UInt64]> = []
        for effect in take() {
            switch effect {
            case .respond(origin, let response): try demand("a delete", refusal(response), wanted)
            case .respond(let other, .refused(let error)) where error.code == .subscriptionUnknown:
                pops.insert(other.correlation)
            case .endConsumer(let session, let consumer, let error):
                try demand("why a consumer ends", error?.code, .subscriptionUnknown)
                consumers.insert([session.rawValue, UInt64(consumer.rawValue)])
            default: throw Disagreement(description: "a delete brought \(effect)")
            }
        }
        try demand(
            "pops that end", pops, Set(before.pops.map(\.correlation)).subtracting(model.pops.map(\.correlation)))
        func numbers(_ model: Model) -> Set<[UInt64]> { Set(model.consumers.map { [$0.session, UInt64($0.number)] }) }
        try demand("consumers that end", consumers, numbers(before).subtracting(numbers(model)))
    }

    func changeSettings() throws {
        let name = someSubscription()
        if chance(50) {
            var settings = model.topicIndex(name.topic.text).map { model.topics[$0].settings } ?? Self.limits.defaults
            settings.messagesMax = UInt64(pick(5...20))
            settings.expired = chance(50) ? .deadLetter : .drop
            settings.delivery = delivery()
            let response = try ask(.topicSet(name.topic, settings), session())
            guard let topic = model.topicIndex(name.topic.text) else {
                return try demand("topic settings", refusal(response), .topicUnknown)
            }
            try demand("topic settings", refusal(response), model.isFull ? .diskFull : nil)
            if !model.isFull { model.topics[topic].settings = settings }
        } else {
            let own = chance(70) ? delivery() : nil
            let response = try ask(.subscriptionSet(name, own), session())
            guard let at = model.index(name) else {
                let isKnown = model.topicIndex(name.topic.text) != nil
                return try demand("own settings", refusal(response), isKnown ? .subscriptionUnknown : .topicUnknown)
            }
            try demand("own settings", refusal(response), model.isFull ? .diskFull : nil)
            if !model.isFull { model.topics[at.topic].subscriptions[at.subscription].own = own }
        }
    }

    private func delivery() -> DeliverySettings {
        var settings = Self.limits.defaults.delivery
        settings.attemptsMax = UInt32(pick(1...5))
        settings.leaseMilliseconds = pick(500...4_000)
        settings.leaseTotalMilliseconds = settings.leaseMilliseconds + pick(0...5_000)
        settings.backoffBaseMilliseconds = pick(0...500)
        settings.backoffCapMilliseconds = settings.backoffBaseMilliseconds + pick(0...2_000)
        settings.poisonDeathsMax = UInt32(pick(1...4))
        settings.backoff = DeliverySettings.Backoff.allCases.randomElement(using: &random)!
        settings.backoffList = (0..<pick(1...3)).map { _ in pick(0...1_500) }
        // A random delay is not known before it is drawn; then nobody knows whether it is too late.
        if settings.backoff != .exponential && chance(50) { settings.retryAgeMaxMilliseconds = pick(500...8_000) }
        settings.parksAfterDead = chance(50)
        settings.priorityAgeingMilliseconds = 0
        return settings
    }
}
