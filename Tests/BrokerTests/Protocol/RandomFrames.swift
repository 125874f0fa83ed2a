import BrokerProtocol

/// Frames of every kind from a seed.
struct RandomFrames {
    /// Xorshift (Marsaglia 2003): seeded, the same everywhere.
    struct Generator: RandomNumberGenerator {
        private var state: UInt64
        init(seed: UInt64) { state = seed == 0 ? 0x9E37_79B9_7F4A_7C15 : seed }
        mutating func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
    }

    var random: Generator
    init(seed: UInt64) { random = Generator(seed: seed) }

    mutating func frame(from side: ProtocolPage.Direction) -> Frame {
        if number(0...30) == 0 { return .heartbeat }
        if side == .client { return .request(anyNumber(), request(RequestKind.allCases[pick(RequestKind.allCases)])) }
        if number(0...3) == 0 { return .push(push(PushKind.allCases[pick(PushKind.allCases)])) }
        return .response(anyNumber(), response(ResponseKind.allCases[pick(ResponseKind.allCases)]))
    }

    // MARK: Parts

    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    mutating func flip() -> Bool { Bool.random(using: &random) }
    mutating func pick<Element>(_ values: [Element]) -> Int { number(0...(values.count - 1)) }

    /// Small ones, all of them, and the edges.
    mutating func anyNumber<Number: FixedWidthInteger>() -> Number {
        switch number(0...5) {
        case 0: .min
        case 1: .max
        case 2: Number.random(in: .min ... .max, using: &random)
        default: Number(number(0...100))
        }
    }

    mutating func list<Element>(_ most: Int = 4, _ make: (inout Self) -> Element) -> [Element] {
        (0..<number(0...most)).map { _ in make(&self) }
    }

    mutating func maybe<Value>(_ make: (inout Self) -> Value) -> Value? { flip() ? make(&self) : nil }

    mutating func text() -> String {
        let alphabet = Array("abcdefgh XYZ019.-_@\"\\\n\u{0}äßçЖ漢字🫖e\u{301}")
        return String(list(number(0...9) == 0 ? 400 : 12) { alphabet[$0.pick(alphabet)] })
    }

    private mutating func blob() -> [UInt8] {
        list(number(0...9) == 0 ? 5_000 : 40) { UInt8(truncatingIfNeeded: $0.random.next()) }
    }

    private mutating func topic() -> TopicName {
        let alphabet = Array("abcdefghij.-_019äßЖ漢🫖")
        let text = String((0..<number(1...12)).map { _ in alphabet[pick(alphabet)] })
        guard let name = TopicName(text) else { preconditionFailure("\(text) is a good name") }
        return name
    }

    mutating func subscription() -> SubscriptionName {
        SubscriptionName(topic: topic(), name: flip() ? topic().text : SubscriptionName.defaultName)
    }

    mutating func headers() -> [Header] { list(3) { Header($0.text(), $0.text()) } }
    mutating func time() -> WallTime { WallTime(milliseconds: anyNumber()) }
    mutating func message() -> MessageID { MessageID(rawValue: anyNumber()) }
    private mutating func consumer() -> ConsumerID { ConsumerID(rawValue: anyNumber()) }
    private mutating func span() -> Int64 { max(anyNumber(), 0) }

    private mutating func start() -> StartPosition {
        switch number(0...3) {
        case 0: .beginning
        case 1: .now
        case 2: .time(time())
        default: .message(message())
        }
    }

    private mutating func outgoing() -> OutgoingMessage {
        OutgoingMessage(
            topic: topic(), body: blob(), headers: headers(), priority: anyNumber(), orderingKey: maybe { $0.text() },
            deliverAt: maybe { $0.time() }, expiresAt: maybe { $0.time() }, dedupID: maybe { $0.text() },
            delayMilliseconds: maybe { $0.span() })
    }

    private mutating func verdict() -> Verdict {
        switch number(0...5) {
        case 0: .fail(error: text(), afterMilliseconds: maybe { $0.span() })
        case 1: .release(afterMilliseconds: maybe { $0.span() })
        case 2: .reject(reason: text())
        default: .ack
        }
    }

    /// Runs, gaps and repetitions; below the last lease, which cannot stand in a run.
    private mutating func leases() -> [LeaseID] {
        var next = UInt64(number(0...1_000_000)) << UInt64(number(0...40))
        return list(30) { frames in
            defer { next += UInt64(frames.number(0...9) == 0 ? frames.number(0...5) : 1) }
            return LeaseID(rawValue: next)
        }
    }

    private mutating func settlements() -> [Settlement] {
        var current = verdict()
        return leases().map { lease in
            if number(0...4) == 0 { current = verdict() }
            return Settlement(lease, current)
        }
    }

    mutating func delivery() -> Delivery {
        Delivery(
            consumer: consumer(), lease: LeaseID(rawValue: anyNumber()), leaseMilliseconds: anyNumber(), id: message(),
            subscription: subscription(), attempt: anyNumber(), deliveries: anyNumber(), publishedAt: time(),
            redrives: anyNumber(), lastError: maybe { $0.text() }, priority: anyNumber(),
            orderingKey: maybe { $0.text() }, headers: headers(), body: blob())
    }

    private mutating func deadLetter() -> DeadLetter {
        DeadLetter(
            id: message(), subscription: subscription(),
            code: maybe { DeadReason.allCases[$0.pick(DeadReason.allCases)] },
            reason: text(), lastError: maybe { $0.text() }, lastConsumer: maybe { $0.text() }, attempts: anyNumber(),
            deliveries: anyNumber(), redrives: anyNumber(), attemptTimes: list(16) { $0.time() }, publishedAt: time(),
            deadAt: time(), priority: anyNumber(), orderingKey: maybe { $0.text() }, headers: headers(), body: blob())
    }

    private mutating func error() -> BrokerError {
        BrokerError(BrokerError.Code.allCases[pick(BrokerError.Code.allCases)], text())
    }

    private mutating func receipt() -> PublishReceipt {
        let isDuplicate = flip()
        return PublishReceipt(id: message(), isDuplicate: isDuplicate, isUnwanted: !isDuplicate && flip())
    }

    private mutating func keyStatus() -> KeyStatus {
        let states = KeyStatus.State.allCases
        return KeyStatus(key: text(), state: states[pick(states)], owner: message(), held: anyNumber())
    }

    private mutating func deliverySettings() -> DeliverySettings {
        var settings = DeliverySettings()
        settings.attemptsMax = anyNumber()
        settings.leaseMilliseconds = span()
        settings.leaseTotalMilliseconds = span()
        settings.backoff = flip() ? .linear : .list
        settings.backoffList = [span()] + list { $0.span() }
        settings.retryAgeMaxMilliseconds = span()
        settings.backoffBaseMilliseconds = span()
        settings.backoffCapMilliseconds = span()
        settings.poisonDeathsMax = anyNumber()
        settings.priorityAgeingMilliseconds = span()
        settings.rate = DeliveryRate(["0", "1/s", "30/m", "1000000/h"][number(0...3)]) ?? .unbounded
        settings.rateBurst = anyNumber()
        settings.keyRate = DeliveryRate(["0", "7/s", "1/m"][number(0...2)]) ?? .unbounded
        settings.inFlightMax = anyNumber()
        settings.fairHeader = text()
        settings.fairWeights = FairWeights(["", "a=1", "big=3,small=1,=2"][number(0...2)]) ?? FairWeights()
        settings.isSticky = flip()
        settings.parksAfterDead = flip()
        settings.deadMax = anyNumber()
        return settings
    }

    private mutating func topicSettings() -> TopicSettings {
        var settings = TopicSettings()
        settings.messagesMax = anyNumber()
        settings.dedupWindowMilliseconds = span()
        settings.retainMilliseconds = span()
        settings.retainBytes = anyNumber()
        settings.bytesMax = anyNumber()
        settings.overflow = flip() ? .dropOldest : .deadLetterOldest
        settings.messageAgeMaxMilliseconds = span()
        settings.expired = flip() ? .drop : .deadLetter
        settings.dedupMax = anyNumber()
        settings.delivery = deliverySettings()
        return settings
    }

    private mutating func topicStatus() -> TopicStatus {
        var topic = TopicStatus(name: topic(), settings: topicSettings())
        topic.messages = anyNumber()
        topic.published = anyNumber()
        topic.figures = figures()
        topic.subscriptions = list { frames in
            var status = SubscriptionStatus(name: frames.subscription())
            status.settings = frames.maybe { $0.deliverySettings() }
            status.consumers = frames.anyNumber()
            status.ready = frames.anyNumber()
            status.delayed = frames.anyNumber()
            status.leased = frames.anyNumber()
            status.dead = frames.anyNumber()
            status.delivered = frames.anyNumber()
            status.acknowledged = frames.anyNumber()
            status.figures = frames.figures()
            status.filter = frames.headers()
            return status
        }
        return topic
    }

    private mutating func schedule() -> Schedule {
        guard let name = ScheduleName(topic().text) else { preconditionFailure("a topic's name is a good one") }
        var schedule = Schedule(name, topic: topic(), cron: text(), body: blob())
        schedule.zone = text()
        schedule.missed = MissedTicks.allCases[pick(MissedTicks.allCases)]
        schedule.isPaused = flip()
        schedule.headers = headers()
        schedule.priority = anyNumber()
        schedule.orderingKey = maybe { $0.text() }
        schedule.expiryMilliseconds = maybe { $0.span() }
        return schedule
    }

    private mutating func scheduleStatus() -> ScheduleStatus {
        var status = ScheduleStatus(schedule())
        status.next = maybe { $0.time() }
        status.last = maybe { $0.time() }
        status.fired = anyNumber()
        status.refused = anyNumber()
        status.lastRefusal = maybe { $0.text() }
        return status
    }

    private mutating func target() -> PauseTarget { flip() ? .topic(topic()) : .subscription(subscription()) }
    private mutating func scope() -> PauseScope { PauseScope.allCases[pick(PauseScope.allCases)] }

    private mutating func history() -> MessageHistory {
        let events = list(5) { frames in
            HistoryEvent(
                message: frames.message(), kind: HistoryEvent.Kind.allCases[frames.pick(HistoryEvent.Kind.allCases)],
                at: frames.maybe { $0.time() }, topic: frames.topic(), subscription: frames.maybe { $0.text() },
                detail: frames.text())
        }
        return MessageHistory(events: events, hasMore: flip())
    }

    private mutating func figures() -> [Figure] { list(3) { Figure($0.text(), $0.anyNumber()) } }

    private mutating func brokerStatus() -> BrokerStatus {
        var status = BrokerStatus()
        status.version = text()
        status.figures = figures()
        status.epoch = anyNumber()
        status.uptimeMilliseconds = anyNumber()
        status.connections = anyNumber()
        status.topics = anyNumber()
        status.messages = anyNumber()
        status.ready = anyNumber()
        status.delayed = anyNumber()
        status.leased = anyNumber()
        status.dead = anyNumber()
        status.published = anyNumber()
        status.delivered = anyNumber()
        status.acknowledged = anyNumber()
        status.logSegments = anyNumber()
        status.logFreeBytes = anyNumber()
        return status
    }
}

// MARK: Frames

extension RandomFrames {
    mutating func request(_ kind: RequestKind) -> Request {
        switch kind {
        case .hello:
            .hello(
                versions: list { $0.anyNumber() }, client: text(), instance: text(), heartbeatMilliseconds: anyNumber())
        case .ping: .ping
        case .publish: .publish(list { $0.outgoing() })
        case .commit: .commit(publishes: list { $0.outgoing() }, settlements: settlements())
        case .subscribe:
            .subscribe(
                consumer: consumer(), subscription: subscription(), credit: anyNumber(), start: start(),
                leaseMilliseconds: maybe { $0.span() }, weight: UInt8(number(1...100)))
        case .credit: .credit(consumer: consumer(), credit: anyNumber())
        case .unsubscribe: .unsubscribe(consumer: consumer())
        case .settle: .settle(settlements())
        case .extend: .extend(leases(), milliseconds: anyNumber())
        case .pop: .pop(list { $0.subscription() }, timeoutMilliseconds: anyNumber(), acknowledges: flip())
        case .fetch:
            .fetch(
                Fetch(
                    list { $0.subscription() }, messagesMax: anyNumber(), bytesMax: anyNumber(),
                    waitMilliseconds: anyNumber(), leaseMilliseconds: maybe { $0.span() }, acknowledges: flip()))
        case .topicCreate: .topicCreate(topic(), topicSettings())
        case .topicSet: .topicSet(topic(), topicSettings())
        case .topicDelete: .topicDelete(topic())
        case .topicList: .topicList
        case .subscriptionCreate: .subscriptionCreate(subscription(), start(), filter: headers())
        case .subscriptionSet: .subscriptionSet(subscription(), maybe { $0.deliverySettings() })
        case .rewind: .rewind(subscription(), start())
        case .subscriptionDelete: .subscriptionDelete(subscription())
        case .status: .status
        case .peek: .peek(topic(), from: message(), limit: anyNumber())
        case .deadList: .deadList(subscription(), from: message(), limit: anyNumber())
        case .deadRedrive: .deadRedrive(subscription(), selection(), rate: anyNumber())
        case .deadPurge: .deadPurge(subscription(), selection())
        case .deadJobs: .deadJobs
        case .deadJobCancel: .deadJobCancel(anyNumber())
        case .browse: .browse(subscription(), query())
        case .delete: .delete(subscription(), list { $0.message() })
        case .cancel: .cancel(list { $0.message() })
        case .reschedule: .reschedule(list { $0.message() }, time())
        case .scheduleSet: .scheduleSet(schedule())
        case .scheduleDelete: .scheduleDelete(schedule().name)
        case .scheduleList: .scheduleList
        case .schedulePause: .schedulePause(schedule().name)
        case .scheduleResume: .scheduleResume(schedule().name)
        case .pause: .pause(target(), scope(), until: maybe { $0.time() })
        case .resume: .resume(target(), scope())
        case .keyList: .keyList(subscription(), after: text(), limit: anyNumber(), parkedOnly: flip())
        case .keyRelease: .keyRelease(subscription(), list { $0.text() })
        case .history:
            .history(flip() ? .message(message()) : .header(Header(text(), text())), limit: anyNumber())
        }
    }

    mutating func response(_ kind: ResponseKind) -> Response {
        switch kind {
        case .refused: .refused(error())
        case .hello:
            .hello(
                version: anyNumber(), broker: text(), identity: anyNumber(), heartbeatMilliseconds: anyNumber(),
                limits: limits())
        case .done: .done
        case .published: .published(list { $0.flip() ? .success($0.receipt()) : .failure($0.error()) })
        case .committed: .committed(list { $0.receipt() })
        case .settled: .settled(list(30) { frames in frames.maybe { $0.error() } })
        case .popped: .popped(maybe { $0.delivery() })
        case .topics: .topics(list { $0.topicStatus() })
        case .status: .status(brokerStatus())
        case .messages: .messages(list { $0.delivery() })
        case .deadLetters: .deadLetters(list { $0.deadLetter() })
        case .count: .count(anyNumber())
        case .fetched: .fetched(list { $0.delivery() })
        case .browsed: .browsed(page())
        case .deadJobs: .deadJobs(list { $0.job() })
        case .schedules: .schedules(list { $0.scheduleStatus() })
        case .keys: .keys(list { $0.keyStatus() })
        case .history: .history(history())
        }
    }

    mutating func push(_ kind: PushKind) -> Frame.Push {
        switch kind {
        case .deliveries: .deliveries(list { $0.delivery() })
        case .consumerEnded: .consumerEnded(consumer(), maybe { $0.error() })
        }
    }

    private mutating func limits() -> ProtocolLimits {
        var limits = ProtocolLimits()
        limits.frameBytesMax = anyNumber()
        limits.bodyBytesMax = anyNumber()
        limits.headersBytesMax = anyNumber()
        limits.leasesPerConnectionMax = anyNumber()
        return limits
    }
}
