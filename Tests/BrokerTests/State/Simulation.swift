import BrokerProtocol

@testable import Broker

/// Random operations on the real state and on the ``Model``, from one seed, compared after each step.
final class Simulation {
    struct Disagreement: Error, CustomStringConvertible {
        let description: String
    }

    static let limits: StateLimits = {
        var limits = StateLimits()
        limits.bodyBytesMax = 3_000
        limits.topicsMax = 3
        limits.subscriptionsMax = 4
        limits.leasesPerConnectionMax = 7
        limits.delayedMax = 12
        limits.defaults.messagesMax = 20
        limits.defaults.delivery.priorityAgeingMilliseconds = 0
        limits.defaults.dedupWindowMilliseconds = 5_000
        limits.defaults.delivery.attemptsMax = 4
        limits.defaults.delivery.leaseMilliseconds = 3_000
        limits.defaults.delivery.leaseTotalMilliseconds = 8_000
        limits.defaults.delivery.backoffBaseMilliseconds = 500
        limits.defaults.delivery.backoffCapMilliseconds = 2_000
        return limits
    }()

    let journal = MemoryJournal(segmentBytes: 16 << 10)
    /// Little enough for retention to be urgent, and enough for every publish.
    static let publishBytesFree = 48 << 10
    var state: BrokerState
    var model: Model
    var random: SeededRandom
    var now = Now(monotonic: 1_000_000, wall: WallTime(milliseconds: 1_700_000_000_000))
    var correlation: UInt32 = 0
    var epoch: UInt32 = 1
    /// The model at the ends of steps that a crash may come back to.
    var moments: [(end: UInt64, model: Model)] = []
    /// Leases of all times, to be used when they are over.
    var oldLeases: [LeaseID] = []
    var leaseMax = LeaseID(rawValue: 0)
    private(set) var lastOperation = ""

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        state = BrokerState(limits: Self.limits, journal: journal, seed: seed)
        model = Model(limits: Self.limits)
        model.monotonic = now.monotonic
        model.wall = now.wall.milliseconds
        model.wallMax = model.wall
        journal.publishBytesFree = Self.publishBytesFree
        begin()
    }

    private func begin() {
        state.begin(epoch: epoch)
        state.advance(now: now)
        model.restart()
        for session in 1...3 as ClosedRange<UInt64> {
            state.open(SessionID(rawValue: session), name: "session-\(session)")
        }
    }

    func demand<Value: Equatable>(_ what: @autoclosure () -> String, _ state: Value, _ model: Value) throws {
        if state != model { throw Disagreement(description: "\(what()): the state says \(state), the model \(model)") }
    }

    // MARK: Steps

    func run(steps: Int) throws {
        for step in 0..<steps {
            do {
                try self.step()
            } catch {
                throw Disagreement(description: "step \(step), \(lastOperation): \(error)")
            }
        }
        lastOperation = "crash inside a step"
        try crashInside()
    }

    private func step() throws {
        let operations: [(weight: Int, name: String, run: () throws -> Void)] = [
            (30, "publish", publish), (12, "commit", commit), (14, "subscribe", subscribe), (8, "credit", credit),
            (2, "unsubscribe", unsubscribe), (34, "settle", settle), (6, "extend", extend), (14, "pop", pop),
            (3, "close", close), (26, "time", passTime), (4, "redrive", { try self.deadLetters(isRedrive: true) }),
            (4, "purge", { try self.deadLetters(isRedrive: false) }), (4, "create", createSubscription),
            (1, "delete", deleteSubscription), (1, "delete topic", deleteTopic), (2, "settings", changeSettings),
            (5, "cancel", cancel), (8, "reschedule", reschedule), (6, "pause", pause), (2, "release", releaseKeys),
            (8, "retention", shortenLog), (12, "sync", sync), (3, "crash", crash), (2, "disk", toggleDisk),
        ]
        var drawn = Int.random(in: 0..<operations.reduce(0) { $0 + $1.weight }, using: &random)
        for operation in operations {
            drawn -= operation.weight
            if drawn >= 0 { continue }
            lastOperation = operation.name
            try operation.run()
            break
        }
        // Sometimes several requests come in one turn.
        if chance(80) { try dispatch() }
        try compare()
        if moments.last?.end != journal.end {
            moments.append((journal.end, model))
        } else {
            moments[moments.count - 1].model = model
        }
    }

    func dispatch() throws {
        state.dispatch(now: now)
        for effect in take() { try accept(effect) }
        try demandNothingLeft()
    }

    /// Sends a request; effects that are no answer to it are accepted on the way.
    /// - Returns: Its answer, when it came at once.
    func ask(_ request: Request, _ session: UInt64) throws -> Response? {
        correlation += 1
        let origin = Origin(session: SessionID(rawValue: session), correlation: correlation)
        state.handleAsOnTheWire(request, from: origin, now: now)
        var answer: Response?
        for effect in take() {
            if case .respond(origin, let response) = effect { answer = response } else { try accept(effect) }
        }
        return answer
    }

    func take() -> [Effect] {
        state.takeEffects().map(\.effect)
    }

    // MARK: Chance

    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    func pick(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &random) }
    func session() -> UInt64 { UInt64.random(in: 1...3, using: &random) }

    func topicName() -> TopicName { TopicName(["a", "a", "a", "b", "b", "c", "d"].randomElement(using: &random)!)! }

    func subscriptionName() -> SubscriptionName {
        let names = ["default", "x", "x", "y", "z", "w"]
        return SubscriptionName(topic: topicName(), name: names.randomElement(using: &random)!)
    }

    /// One that exists, mostly.
    func someSubscription() -> SubscriptionName {
        let all = model.topics.flatMap { topic in topic.subscriptions.map { "\(topic.name)@\($0.name)" } }
        guard chance(90), let name = all.randomElement(using: &random) else { return subscriptionName() }
        return SubscriptionName(name)!
    }

    func lease(of session: UInt64) -> LeaseID {
        let mine = model.leases.filter { $0.value.session == session }.keys.sorted()
        if chance(80), let lease = mine.randomElement(using: &random) { return lease }
        if chance(50), let lease = model.leases.keys.sorted().randomElement(using: &random) { return lease }
        return oldLeases.randomElement(using: &random) ?? LeaseID(rawValue: 77)
    }
}
