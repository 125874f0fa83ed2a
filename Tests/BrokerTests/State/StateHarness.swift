import BrokerProtocol
import Testing

@testable import Broker

/// A state with a log in memory and a clock in a variable. Effects are performed at once unless durability matters.
final class StateHarness {
    let journal: MemoryJournal
    private(set) var state: BrokerState
    var now = Now(monotonic: 5_000_000, wall: WallTime(milliseconds: 1_700_000_000_000))
    /// Everything that left the state, oldest first.
    private(set) var effects: [PendingEffect] = []
    private var correlation: UInt32 = 0
    private var epoch: UInt32 = 1
    private var limits: StateLimits
    /// Where the state finds time zones.
    var readZone: (String) -> [UInt8]? = ZoneFixture.read { didSet { state.readZone = readZone } }

    init(limits: StateLimits = StateLimits(), journal: MemoryJournal = MemoryJournal(), seed: UInt64 = 1) {
        self.limits = limits
        self.journal = journal
        state = BrokerState(limits: limits, journal: journal, seed: seed)
        state.readZone = readZone
        state.begin(epoch: epoch)
        state.advance(now: now)
        readLog()
    }

    /// Lets the state read messages from the log.
    private func readLog() {
        state.readMessage = { [journal] (address) throws(BrokerError) in
            guard let payload = journal.payload(at: address.position),
                let message = try? FactCodec.message(in: payload, at: address.offset)
            else { throw BrokerError(.unsupported, "the log has no message at \(address)") }
            return message
        }
    }

    // MARK: Turns

    /// One request, without handing out what became ready.
    @discardableResult
    func ask(_ request: Request, _ session: UInt64 = 1) -> Response? {
        let id = SessionID(rawValue: session)
        if state.sessions[id] == nil { state.open(id, name: "session-\(session)") }
        correlation += 1
        let origin = Origin(session: id, correlation: correlation)
        state.handleAsOnTheWire(request, from: origin, now: now)
        takeEffects()
        for case .respond(origin, let response) in effects.map(\.effect) { return response }
        return nil
    }

    /// One request and what it brings about.
    @discardableResult
    func send(_ request: Request, _ session: UInt64 = 1) -> Response? {
        let response = ask(request, session)
        turn()
        return response ?? lastAnswer()
    }

    private func lastAnswer() -> Response? {
        for case .respond(let origin, let response) in effects.map(\.effect) where origin.correlation == correlation {
            return response
        }
        return nil
    }

    func turn() {
        repeat {
            state.dispatch(now: now)
            takeEffects()
        } while !state.sweeps.isEmpty
    }

    func pass(milliseconds: Int64) { move(monotonic: milliseconds, wall: milliseconds) }

    /// Moves the clocks, alike or not.
    func move(monotonic: Int64, wall: Int64) {
        now.monotonic += monotonic
        now.wall = now.wall.adding(milliseconds: wall)
        state.advance(now: now)
        turn()
    }

    func close(_ session: UInt64) {
        state.close(SessionID(rawValue: session), now: now)
        turn()
    }

    func drain() {
        state.drain()
        turn()
    }

    private func takeEffects() {
        for pending in state.takeEffects() {
            effects.append(pending)
            if case .recycle(let segment) = pending.effect {
                journal.sync()
                journal.recycle(before: segment)
            }
        }
    }

    /// Starts a new state from what the log holds before `position` (nil: all of it).
    func restart(keepingBefore position: UInt64? = nil) throws {
        journal.crash(keepingBefore: position ?? journal.end)
        epoch += 1
        state = try Self.replay(journal, limits: limits, epoch: epoch)
        readLog()
        state.readZone = readZone
        state.advance(now: now)
        turn()
    }

    static func replay(_ journal: MemoryJournal, limits: StateLimits, epoch: UInt32) throws -> BrokerState {
        let state = BrokerState(limits: limits, journal: journal, seed: UInt64(epoch))
        for record in journal.records {
            for (fact, offset) in try FactCodec.decode(record.payload) {
                state.apply(fact, at: RecordAddress(position: record.position, offset: offset))
            }
        }
        state.begin(epoch: epoch)
        return state
    }

    /// Retention as the server does it, until nothing is left to do.
    func shortenLog() throws {
        for _ in 0..<1_000 {
            switch state.retentionStep(current: journal.currentSegment) {
            case .nothing: return takeEffects()
            case .retire(let segment): state.retire(segment)
            case .scan(let segment):
                for record in journal.records where record.position / journal.segmentBytes == segment {
                    guard state.restate(try FactCodec.decode(record.payload), at: record.position, now: now) else {
                        return
                    }
                }
                state.retire(segment)
            }
            takeEffects()
        }
        Issue.record("retention does not end")
    }

    // MARK: Words

    func name(_ text: String) -> SubscriptionName { SubscriptionName(text)! }
    func topic(_ text: String) -> TopicName { TopicName(text)! }

    func later(_ milliseconds: Int64) -> WallTime { now.wall.adding(milliseconds: milliseconds) }

    func message(
        _ topic: String, priority: UInt8 = 4, deliverAt: WallTime? = nil, expiresAt: WallTime? = nil,
        dedup: String? = nil, body: [UInt8] = [1, 2, 3]
    ) -> OutgoingMessage {
        OutgoingMessage(
            topic: self.topic(topic), body: body, priority: priority, deliverAt: deliverAt, expiresAt: expiresAt,
            dedupID: dedup)
    }

    @discardableResult
    func publish(_ messages: OutgoingMessage...) -> [Result<PublishReceipt, BrokerError>] {
        guard case .published(let results)? = send(.publish(messages)) else { return [] }
        return results
    }

    /// - Returns: The id of the one message, published with defaults.
    @discardableResult
    func publish(_ topic: String) -> MessageID {
        (try? publish(message(topic))[0].get().id) ?? MessageID(rawValue: 0)
    }

    func publish(_ topic: String, count: Int) -> [MessageID] { (0..<count).map { _ in publish(topic) } }

    @discardableResult
    func subscribe(
        _ name: String, _ session: UInt64 = 1, consumer: UInt32 = 1, credit: UInt32 = 100,
        start: StartPosition = .beginning, lease: Int64? = nil
    ) -> Response? {
        send(
            .subscribe(
                consumer: ConsumerID(rawValue: consumer), subscription: self.name(name), credit: credit, start: start,
                leaseMilliseconds: lease), session)
    }

    /// Settles one lease. - Returns: The code of the refusal; nil when accepted.
    @discardableResult
    func settle(_ notice: Notice?, _ verdict: Verdict, _ session: UInt64 = 1) -> BrokerError.Code? {
        guard let notice, case .settled(let results)? = send(.settle([Settlement(notice.lease, verdict)]), session)
        else {
            Issue.record("nothing was delivered, or the answer has the wrong shape")
            return nil
        }
        return results[0]?.code
    }

    @discardableResult
    func extend(_ notice: Notice?, _ milliseconds: Int64, _ session: UInt64 = 1) -> BrokerError.Code? {
        guard let notice,
            case .settled(let results)? = send(.extend([notice.lease], milliseconds: milliseconds), session)
        else { return nil }
        return results[0]?.code
    }

    /// A pop that answers at once. - Returns: What it got.
    @discardableResult
    func pop(_ names: String..., acknowledges: Bool = false, session: UInt64 = 1) -> Notice? {
        send(.pop(names.map(name), timeoutMilliseconds: 0, acknowledges: acknowledges), session)
        return popped(correlation)
    }

    /// A pop that may wait. - Returns: Its number, for ``popped(_:)``.
    func wait(_ names: String..., timeout: Int64 = -1, acknowledges: Bool = false, session: UInt64 = 1) -> UInt32 {
        send(.pop(names.map(name), timeoutMilliseconds: timeout, acknowledges: acknowledges), session)
        return correlation
    }

    func popped(_ number: UInt32) -> Notice? {
        for case .answerPop(let origin, let notice) in effects.map(\.effect) where origin.correlation == number {
            return notice
        }
        return nil
    }

    func response(_ number: UInt32) -> Response? {
        for case .respond(let origin, let response) in effects.map(\.effect) where origin.correlation == number {
            return response
        }
        return nil
    }

    /// All deliveries to consumers so far.
    var delivered: [(session: SessionID, notice: Notice)] {
        effects.compactMap { pending in
            if case .deliver(let session, let notice) = pending.effect { return (session, notice) }
            return nil
        }
    }

    var last: Notice? { delivered.last?.notice }

    func deliveredIDs(_ subscription: String) -> [MessageID] {
        delivered.filter { $0.notice.subscription == name(subscription) }.map(\.notice.id)
    }

    func status(_ text: String) -> SubscriptionStatus {
        let name = self.name(text)
        let topic = state.topicStatuses().first { $0.name == name.topic }
        return topic?.subscriptions.first { $0.name == name } ?? SubscriptionStatus(name: name)
    }

    func dead(_ text: String) -> [Notice] {
        let before = effects.count
        send(.deadList(name(text), from: MessageID(rawValue: 0), limit: 1_000))
        for case .answerDead(_, let notices) in effects[before...].map(\.effect) { return notices }
        return []
    }

    /// Sets one or more settings of a topic, which is made when it is new.
    func configure(_ topic: String, _ change: (inout TopicSettings) -> Void) {
        var settings = state.topicsByName[self.topic(topic)]?.settings ?? TopicSettings()
        change(&settings)
        #expect(throws: Never.self) { try state.configure(topics: [(self.topic(topic), settings)], subscriptions: []) }
    }
}

/// The code of a refused request, or of the first refused item.
func code(_ response: Response?) -> BrokerError.Code? {
    switch response {
    case .refused(let error): error.code
    case .published(let results):
        results.compactMap { if case .failure(let error) = $0 { error.code } else { nil } }.first
    case .settled(let results): results.compactMap { $0?.code }.first
    default: nil
    }
}

func id(_ rawValue: UInt64) -> MessageID { MessageID(rawValue: rawValue) }
