import BrokerProtocol

@testable import Broker

/// The broker's promises written down a second time, as plainly as possible: arrays and dictionaries, searched from one
/// end to the other. A value: a copy is a moment to come back to after a crash.
struct Model {
    enum Place: Equatable {
        case ready
        /// The broker draws a retry's delay at random inside these bounds; it is looked up when it has been drawn.
        case drawing(ClosedRange<Int64>)
        case delayed(until: Int64, byWallClock: Bool)
        case leased(LeaseID)
        case dead(String)
    }

    struct Slot {
        var place: Place
        var attempts: UInt32 = 0
        var deaths: UInt32 = 0
        var redrives: UInt32 = 0
        var lastError: String?
        /// From its first delivery on, until it is over or dead.
        var holdsKey = false
        /// What it waited for when it became ready without having been handed out since: the log does not tell that
        /// the time came.
        var waited: Place?
    }

    struct Message {
        let id: MessageID
        let priority: UInt8
        let key: String?
        let publishedAt: Int64
        let expiresAt: Int64?
        var deliverAt: Int64?
    }

    struct Pause: Equatable {
        let until: Int64?
    }

    struct Subscription {
        var name: String
        var isAsked: Bool
        var slots: [MessageID: Slot] = [:]
        var own: DeliverySettings?
        var pause: Pause?
        /// The dead letters that park an ordering key.
        var parked: [String: Set<MessageID>] = [:]
    }

    struct Topic {
        let name: String
        var settings: TopicSettings
        var messages: [Message] = []
        var subscriptions: [Subscription] = []
        var dedup: [String: (message: MessageID, until: Int64)] = [:]
        var intakePause: Pause?
        var deliveryPause: Pause?
    }

    struct Lease {
        let session: UInt64
        let consumer: Int?
        let topic: String
        let subscription: String
        let message: MessageID
        let takenAt: Int64
        var deadline: Int64
    }

    struct Consumer {
        let token: Int
        let session: UInt64
        let number: UInt32
        let topic: String
        let subscription: String
        var credit: UInt32
        let lease: Int64?
    }

    struct Pop {
        let correlation: UInt32
        let session: UInt64
        let names: [SubscriptionName]
        let acknowledges: Bool
        let deadline: Int64?
    }

    let limits: StateLimits
    var topics: [Topic] = []
    var leases: [LeaseID: Lease] = [:]
    var consumers: [Consumer] = []
    var pops: [Pop] = []
    var nextMessage: UInt64 = 1
    var nextToken = 0
    var monotonic: Int64 = 0
    var wall: Int64 = 0
    var wallMax: Int64 = 0
    var shift: Int64 = 0
    var isFull = false

    var steady: Int64 { monotonic + shift }

    init(limits: StateLimits) { self.limits = limits }

    // MARK: Looking up

    func topicIndex(_ name: String) -> Int? { topics.firstIndex { $0.name == name } }

    func index(_ name: SubscriptionName) -> (topic: Int, subscription: Int)? {
        guard let topic = topicIndex(name.topic.text) else { return nil }
        return topics[topic].subscriptions.firstIndex { $0.name == name.name }.map { (topic, $0) }
    }

    func slot(_ topic: String, _ subscription: String, _ message: MessageID) -> Slot? {
        topics.first { $0.name == topic }?.subscriptions.first { $0.name == subscription }?.slots[message]
    }

    func settings(_ at: (topic: Int, subscription: Int)) -> DeliverySettings {
        topics[at.topic].subscriptions[at.subscription].own ?? topics[at.topic].settings.delivery
    }

    func holds(_ session: UInt64) -> Int {
        leases.values.count { $0.session == session } + pops.count { $0.session == session }
    }

    func unsettled(_ token: Int) -> Int { leases.values.count { $0.consumer == token } }

    func isAlive(_ id: LeaseID, _ session: UInt64) -> Bool {
        guard let lease = leases[id] else { return false }
        return lease.session == session && lease.deadline > monotonic
    }

    var delayedCount: Int {
        topics.flatMap(\.subscriptions).flatMap(\.slots.values).count {
            switch $0.place {
            case .delayed, .drawing: true
            case .ready, .leased, .dead: false
            }
        }
    }

    /// Ready messages in the order in which they must be delivered.
    func ready(_ at: (topic: Int, subscription: Int)) -> [Message] {
        let slots = topics[at.topic].subscriptions[at.subscription].slots
        return topics[at.topic].messages.filter { slots[$0.id]?.place == .ready }
            .sorted { $0.priority != $1.priority ? $0.priority > $1.priority : $0.id < $1.id }
    }

    /// Those among them whose ordering key no other one holds.
    func free(_ at: (topic: Int, subscription: Int)) -> [Message] {
        let slots = topics[at.topic].subscriptions[at.subscription].slots
        let holders = topics[at.topic].messages.filter { slots[$0.id]?.holdsKey == true }
        let parked = topics[at.topic].subscriptions[at.subscription].parked
        return ready(at).filter { message in
            guard let key = message.key else { return true }
            // One that had the key before another one died goes on.
            if let dead = parked[key], !dead.contains(message.id), slots[message.id]?.holdsKey != true { return false }
            return !holders.contains { $0.key == key && $0.id != message.id }
        }
    }

    // MARK: Changing

    mutating func change(_ topic: String, _ subscription: String, _ message: MessageID, _ body: (inout Slot) -> Void) {
        guard let index = topicIndex(topic),
            let second = topics[index].subscriptions.firstIndex(where: { $0.name == subscription }),
            topics[index].subscriptions[second].slots[message] != nil
        else { return }
        body(&topics[index].subscriptions[second].slots[message]!)
    }

    mutating func forget(_ topic: String, _ subscription: String, _ message: MessageID) {
        guard let index = topicIndex(topic),
            let second = topics[index].subscriptions.firstIndex(where: { $0.name == subscription })
        else { return }
        topics[index].subscriptions[second].slots[message] = nil
        unpark((index, second), message)
        sweep(index)
    }

    /// A message that no subscription owes a verdict is gone.
    mutating func sweep(_ index: Int) {
        let subscriptions = topics[index].subscriptions
        topics[index].messages.removeAll { message in subscriptions.allSatisfy { $0.slots[message.id] == nil } }
    }

    /// What must be delivered next; it stays where it is. Expired ones that come to their turn before it die.
    mutating func takeNext(_ at: (topic: Int, subscription: Int)) -> Message? {
        if isPaused(at) { return nil }
        while let first = free(at).first {
            guard isOver(first, at) else { return first }
            let topic = topics[at.topic]
            end(topic.name, topic.subscriptions[at.subscription].name, first.id)
        }
        return nil
    }

    /// Its time has come, and it was not driven again.
    func isOver(_ message: Message, _ at: (topic: Int, subscription: Int)) -> Bool {
        guard let expiresAt = message.expiresAt, expiresAt <= wall else { return false }
        return topics[at.topic].subscriptions[at.subscription].slots[message.id]?.redrives == 0
    }

    /// What is over and not leased dies, whether somebody looks or not.
    mutating func expire() {
        for topic in topics.indices {
            for second in topics[topic].subscriptions.indices {
                for message in topics[topic].messages where isOver(message, (topic, second)) {
                    switch topics[topic].subscriptions[second].slots[message.id]?.place {
                    case .ready, .delayed, .drawing:
                        end(topics[topic].name, topics[topic].subscriptions[second].name, message.id)
                    case .leased, .dead, nil: break
                    }
                }
            }
        }
    }

    /// A leased message that comes back after its end dies. - Returns: Whether it did.
    private mutating func diesOnReturn(_ lease: Lease, error: String?) -> Bool {
        guard let at = index(SubscriptionName("\(lease.topic)@\(lease.subscription)")!),
            let message = topics[at.topic].messages.first(where: { $0.id == lease.message }), isOver(message, at)
        else { return false }
        if let error { change(lease.topic, lease.subscription, lease.message) { $0.lastError = error } }
        end(lease.topic, lease.subscription, lease.message)
        return true
    }

    mutating func die(_ topic: String, _ subscription: String, _ message: MessageID, _ reason: String) {
        change(topic, subscription, message) { slot in
            slot.place = .dead(reason)
            slot.holdsKey = false
        }
        park(topic, subscription, message)
    }

    /// What is over is dead or gone, as the topic says.
    mutating func end(_ topic: String, _ subscription: String, _ message: MessageID) {
        guard let index = topicIndex(topic) else { return }
        switch topics[index].settings.expired {
        case .deadLetter: die(topic, subscription, message, "expired")
        case .drop: forget(topic, subscription, message)
        }
    }

    /// The one policy for every way to fail.
    mutating func fail(_ id: LeaseID, error: String, after: Int64?, isDeath: Bool) {
        guard let lease = leases.removeValue(forKey: id), let topic = topicIndex(lease.topic),
            let second = topics[topic].subscriptions.firstIndex(where: { $0.name == lease.subscription })
        else { return }
        if diesOnReturn(lease, error: error) { return }
        let settings = settings((topic, second))
        let steady = steady
        let age = wall - (topics[topic].messages.first { $0.id == lease.message }?.publishedAt ?? wall)
        var reason: String?
        change(lease.topic, lease.subscription, lease.message) { slot in
            slot.lastError = error
            if isDeath { slot.deaths += 1 }
            let delay = after.map { max(0, $0)...max(0, $0) } ?? Self.backoff(settings, slot.attempts)
            if isDeath && slot.deaths >= settings.poisonDeathsMax {
                reason = "poison"
            } else if slot.attempts >= settings.attemptsMax {
                reason = "attempts"
            } else if settings.retryAgeMaxMilliseconds > 0, age + delay.lowerBound > settings.retryAgeMaxMilliseconds {
                reason = "age"
            } else if delay.lowerBound == delay.upperBound {
                slot.place = .delayed(until: steady + delay.lowerBound, byWallClock: false)
            } else {
                slot.place = .drawing((steady + delay.lowerBound)...(steady + delay.upperBound))
            }
        }
        if let reason { die(lease.topic, lease.subscription, lease.message, reason) }
    }

    mutating func settle(_ id: LeaseID, _ verdict: Verdict) {
        guard let lease = leases[id] else { return }
        switch verdict {
        case .ack:
            leases[id] = nil
            forget(lease.topic, lease.subscription, lease.message)
        case .fail(let error, let after): fail(id, error: error, after: after, isDeath: false)
        case .release(let after):
            leases[id] = nil
            if diesOnReturn(lease, error: nil) { return }
            let until = steady + max(0, after ?? 0)
            change(lease.topic, lease.subscription, lease.message) { slot in
                slot.attempts -= 1
                slot.place = .delayed(until: until, byWallClock: false)
            }
        case .reject(let reason):
            leases[id] = nil
            die(lease.topic, lease.subscription, lease.message, "rejected: \(reason)")
        }
    }

    /// Moves the clocks: leases end, then what is due becomes ready.
    mutating func advance(monotonic: Int64, wall: Int64) {
        self.monotonic += monotonic
        self.wall += wall
        wallMax = max(wallMax, self.wall)
        endPauses()
        for (id, lease) in leases where lease.deadline <= self.monotonic {
            fail(id, error: "the lease expired", after: nil, isDeath: true)
        }
        expire()
    }

    /// - Parameter clocks: Whose times are looked at: those of the wall clock, of the other one, or both.
    mutating func wake(byWallClock clocks: [Bool] = [true, false]) {
        for topic in topics.indices {
            for second in topics[topic].subscriptions.indices {
                for (id, slot) in topics[topic].subscriptions[second].slots {
                    if case .delayed(let until, let byWallClock) = slot.place, clocks.contains(byWallClock),
                        until <= (byWallClock ? wall : steady)
                    {
                        topics[topic].subscriptions[second].slots[id]?.waited = slot.place
                        topics[topic].subscriptions[second].slots[id]?.place = .ready
                    }
                }
            }
        }
    }

    mutating func close(_ session: UInt64) {
        for (id, lease) in leases where lease.session == session {
            fail(id, error: "the connection of session-\(session) was lost", after: nil, isDeath: true)
        }
        consumers.removeAll { $0.session == session }
        pops.removeAll { $0.session == session }
    }

    /// The broker ended: nobody holds anything any more, and what was held is ready.
    mutating func restart() {
        for (_, lease) in leases { change(lease.topic, lease.subscription, lease.message) { $0.place = .ready } }
        for topic in topics.indices {
            for second in topics[topic].subscriptions.indices {
                for (id, slot) in topics[topic].subscriptions[second].slots where slot.place == .ready {
                    if let waited = slot.waited { topics[topic].subscriptions[second].slots[id]?.place = waited }
                }
            }
        }
        leases = [:]
        consumers = []
        pops = []
        shift = wall - monotonic
        endPauses()
        expire()
    }
}
