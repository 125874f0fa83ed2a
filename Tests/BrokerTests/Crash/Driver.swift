import BrokerProtocol
import LinuxIO

/// A client that does everything that a client can do, at random, and writes all of it into the history. It knows the
/// frames of the protocol and nothing else of the broker.
struct Driver {
    private struct Pending {
        let operation: Int
        let kind: History.Operation
        let messages: [OutgoingMessage]
    }

    private let arena: Arena
    private var dice: Dice
    private var wire: Wire
    private var connection = 0
    private var lastCorrelation: UInt32 = 100
    private var pending: [UInt32: Pending] = [:]
    private var held: [History.Delivery] = []
    /// Leases that are settled, or of an earlier connection: they must be refused.
    private var stale: [UInt64] = []
    /// Publishes with a dedup id that nobody confirmed, or that were confirmed: both may be sent again.
    private var repeatable: [(publish: History.Publish, message: OutgoingMessage)] = []

    /// Serves one life after the other until all is over.
    static func run(_ arena: Arena, seed: UInt64) {
        var life = 0
        var dice = Dice(seed: seed)
        var memory: (stale: [UInt64], repeatable: [(publish: History.Publish, message: OutgoingMessage)]) = ([], [])
        while let next = arena.waitForLife(after: life) {
            life = next
            do {
                while arena.isOpen(life) {
                    guard let wire = try? Wire.open(arena.url) else {
                        // Killed before it answered.
                        arena.waitForEnd(of: life)
                        break
                    }
                    var driver = Driver(arena, dice, wire)
                    (driver.stale, driver.repeatable) = memory
                    let isLost = try driver.serve()
                    memory = (driver.stale.suffix(20), driver.repeatable.suffix(50))
                    dice = driver.dice
                    if isLost { arena.waitForEnd(of: life) }
                }
            } catch {
                arena.note(failure: "\(error)")
            }
            arena.park()
        }
    }

    private init(_ arena: Arena, _ dice: Dice, _ wire: Wire) {
        self.arena = arena
        self.dice = dice
        self.wire = wire
        connection = arena.nextConnection()
    }

    /// - Returns: True when the broker closed the connection, false when this side did.
    private mutating func serve() throws -> Bool {
        for (index, name) in Scene.subscriptions.enumerated() where dice.percent(85) {
            guard let subscription = SubscriptionName(name) else { continue }
            let request = Request.subscribe(
                consumer: ConsumerID(rawValue: UInt32(index + 1)), subscription: subscription,
                credit: UInt32(dice.number(1...30)), start: .beginning, leaseMilliseconds: nil)
            try wire.send(.request(UInt32(index + 1), request))
        }
        while true {
            if dice.percent(1) && dice.percent(40) {
                leave()
                return false
            }
            if pending.count < 12 { try act() }
            switch try wire.arrival(milliseconds: pending.count < 12 ? Int64(dice.number(0...1)) : 50) {
            case .silence: break
            case .end:
                leave()
                return true
            case .frame(let frame): take(frame)
            }
        }
    }

    /// The connection is over; its leases, and the answers that did not come, with it.
    private mutating func leave() {
        stale += held.map(\.lease)
        held = []
        for pending in pending.values.sorted(by: { $0.operation < $1.operation }) {
            for (publish, message) in zip(pending.kind.publishes, pending.messages) where publish.dedupID != nil {
                repeatable.append((publish, message))
            }
        }
        arena.record(.disconnected(connection))
    }

    // MARK: Requests

    private mutating func act() throws {
        switch dice.number(0...99) {
        case 0..<35: try publish(count: 1)
        case 35..<42: try publish(count: dice.number(2...20))
        case 42..<46: try publishAgain()
        case 46..<50: try send(.init(kind: .take(Scene.taken), connection: connection), [])
        case 50..<88: try settle()
        case 88..<97: try commit()
        default: try settleStale()
        }
    }

    private mutating func publish(count: Int) throws {
        let made = arena.nextNumbers(count).map { make($0, for: nil) }
        try send(
            .init(kind: .publish, connection: connection, publishes: made.map(\.publish)), made.map(\.message))
    }

    /// What nobody confirmed, or somebody did, with the same dedup id: it must not be there twice.
    private mutating func publishAgain() throws {
        guard !repeatable.isEmpty else { return try publish(count: 1) }
        let (publish, message) = repeatable.remove(at: dice.number(0...repeatable.count - 1))
        try send(.init(kind: .publish, connection: connection, publishes: [publish]), [message])
    }

    private mutating func settle() throws {
        var settles: [History.Settle] = []
        for _ in 0..<min(held.count, dice.number(1...8)) {
            let delivery = held.remove(at: dice.number(0...min(held.count - 1, 5)))
            settles.append(.init(lease: delivery.lease, verdict: verdict()))
            if dice.percent(3) { settles.append(.init(lease: delivery.lease, verdict: verdict())) }
            stale.append(delivery.lease)
        }
        if !settles.isEmpty { try send(.init(kind: .settle, connection: connection, settles: settles), []) }
    }

    private mutating func verdict() -> History.Verdict {
        switch dice.number(0...99) {
        case 0..<72: .ack
        case 72..<84: .fail
        case 84..<94: .release
        default: .reject
        }
    }

    private mutating func commit() throws {
        guard !held.isEmpty else { return }
        var settles: [History.Settle] = []
        for _ in 0..<min(held.count, dice.number(1...3)) {
            let delivery = held.removeFirst()
            settles.append(.init(lease: delivery.lease, verdict: .ack))
            stale.append(delivery.lease)
        }
        // One lost lease refuses all of it, the others stay as they are.
        if dice.percent(8), let lease = stale.dropLast(settles.count).last {
            settles.append(.init(lease: lease, verdict: .ack))
        }
        let made = arena.nextNumbers(dice.number(0...3)).map { make($0, for: "out") }
        try send(
            .init(kind: .commit, connection: connection, publishes: made.map(\.publish), settles: settles),
            made.map(\.message))
    }

    private mutating func settleStale() throws {
        guard !stale.isEmpty else { return }
        let lease = stale[dice.number(0...stale.count - 1)]
        try send(
            .init(kind: .settle, connection: connection, settles: [.init(lease: lease, verdict: verdict())]), [])
    }

    private mutating func make(_ number: Int, for topic: String?) -> (
        publish: History.Publish, message: OutgoingMessage
    ) {
        var name = topic ?? "plain"
        var key: String?
        if topic == nil {
            switch dice.number(0...9) {
            case 0..<2: (name, key) = ("keyed", "k\(dice.number(0...7))")
            case 2: name = "once"
            default: break
            }
        }
        let body = Scene.body(number, bytes: dice.percent(12) ? dice.number(5_000...30_000) : dice.number(8...400))
        guard let topicName = TopicName(name) else { preconditionFailure("\(name) is no topic") }
        var message = OutgoingMessage(topic: topicName, body: body, orderingKey: key)
        if dice.percent(40) { message.dedupID = "d\(number)" }
        if name == "plain" && dice.percent(10) { message.priority = UInt8(dice.number(0...9)) }
        if name == "plain" && dice.percent(5) {
            message.deliverAt = WallTime(milliseconds: Clocks.wallMilliseconds() + Int64(dice.number(0...40)))
        }
        let publish = History.Publish(
            number: number, topic: name, fingerprint: History.fingerprint(body), key: key, priority: message.priority,
            isDelayed: message.deliverAt != nil, dedupID: message.dedupID)
        return (publish, message)
    }

    /// Writes into the history what is asked, then asks.
    private mutating func send(_ operation: History.Operation, _ messages: [OutgoingMessage]) throws {
        lastCorrelation += 1
        let index = arena.invoke(operation)
        pending[lastCorrelation] = Pending(operation: index, kind: operation, messages: messages)
        let settlements = operation.settles.map { settle in
            let verdict: Verdict =
                switch settle.verdict {
                case .ack: .ack
                case .fail: .fail(error: "no luck")
                case .release: .release()
                case .reject: .reject(reason: "no use")
                }
            return Settlement(LeaseID(rawValue: settle.lease), verdict)
        }
        let request: Request
        switch operation.kind {
        case .publish: request = .publish(messages)
        case .settle: request = .settle(settlements)
        case .commit: request = .commit(publishes: messages, settlements: settlements)
        case .take(let name):
            guard let subscription = SubscriptionName(name) else { return }
            request = .pop([subscription], timeoutMilliseconds: Int64(dice.number(0...5)), acknowledges: true)
        }
        try wire.send(.request(lastCorrelation, request))
    }

    // MARK: Answers

    private mutating func take(_ frame: Frame) {
        switch frame {
        case .push(.deliveries(let deliveries)):
            for delivery in deliveries {
                let seen = Scene.seen(delivery, by: connection)
                arena.record(.delivered(seen))
                held.append(seen)
            }
        case .response(let correlation, let response):
            guard let asked = pending.removeValue(forKey: correlation) else { return }
            answer(asked, response)
        case .push(.consumerEnded), .request, .heartbeat: break
        }
    }

    private mutating func answer(_ asked: Pending, _ response: Response) {
        func receipt(_ receipt: PublishReceipt) -> History.Receipt {
            .init(id: receipt.id.rawValue, isDuplicate: receipt.isDuplicate)
        }
        let answer: History.Answer
        switch response {
        case .published(let results):
            answer = .published(results.map { result in (try? result.get()).map(receipt) })
            if dice.percent(10) {
                for (publish, message) in zip(asked.kind.publishes, asked.messages) where publish.dedupID != nil {
                    repeatable.append((publish, message))
                }
            }
        case .settled(let results): answer = .settled(results.map { $0 == nil })
        case .committed(let receipts): answer = .committed(receipts.map(receipt))
        case .popped(let delivery): answer = .taken(delivery.map { Scene.seen($0, by: connection) })
        default: answer = .refused
        }
        arena.record(.answered(asked.operation, answer))
    }
}
