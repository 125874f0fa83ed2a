import BrokerProtocol
import Testing

@testable import Workers

/// Random outcomes against a broker that refuses at random: whatever happens, each delivery ends once.
@Suite struct RefusalPropertyTests {
    private static let subscriptions = [SubscriptionName("parcel.sent@post")!, SubscriptionName("letter.sent@post")!]

    /// Answers what the state asks for, at random times, and counts how each delivery ends.
    private struct World {
        var numbers: SeededNumbers
        var state: RuntimeState
        var now = Duration.zero
        var running: [Ticket] = []
        var settling: [(Ticket, Settling)] = []
        var pausing: [(SubscriptionName, WallTime, Int)] = []
        var deliveries: [Ticket: Delivery] = [:]
        var delivered = 0
        var taken: [LeaseID: Int] = [:]
        var dropped = 0
        var postponed: Set<MessageID> = []
        var refusedPauses = 0
        /// Deliveries that waited when their connection was lost.
        var forgotten = 0

        init(seed: UInt64) {
            var numbers = SeededNumbers(seed: seed)
            var configuration = RuntimeConfiguration(instance: "post-1")
            configuration.slots = Int.random(in: 1...4, using: &numbers)
            configuration.attemptTimeout = .seconds(1_000_000)
            self.numbers = numbers
            state = RuntimeState(
                configuration: configuration, subscriptions: RefusalPropertyTests.subscriptions,
                wall: { WallTime(milliseconds: 1_000) }, random: { $0.lowerBound })
            handle(.start)
            handle(.connected(generation: 1))
        }

        mutating func handle(_ input: RuntimeState.Input) {
            for action in state.handle(input, now: now) { note(action) }
        }

        private mutating func note(_ action: RuntimeState.Action) {
            switch action {
            case .run(let ticket, let delivery):
                deliveries[ticket] = delivery
                running.append(ticket)
            case .settle(let ticket, let settling):
                let id = state.held.first { $0.ticket == ticket }?.delivery.id
                if let id, postponed.remove(id) != nil {
                    guard case .release(let wait?) = settling.verdict, wait >= 500 else {
                        Issue.record("\(settling) follows a refusal")
                        return
                    }
                }
                self.settling.append((ticket, settling))
            case .pause(let name, let until, let generation): pausing.append((name, until, generation))
            case .report(.dropped): dropped += 1
            case .report(.postponed(let attempt, _, _)): postponed.insert(attempt.id)
            default: break
            }
        }

        private mutating func refusal() -> BrokerError? {
            let codes: [BrokerError.Code?] = [
                nil, nil, nil, nil, .topicFull, .topicPaused, .diskFull, .bodyTooLarge, .unauthorized, .leaseLost,
                Int.random(in: 0..<4, using: &numbers) == 0 ? .connectionLost : nil,
            ]
            return codes.randomElement(using: &numbers)?.map { BrokerError($0, "no") }
        }

        private mutating func outcome() -> Ruling {
            let outcomes: [Outcome] = [
                .done, .done(publishing: []), .fail, .reject("no"), .release,
                .snooze(until: WallTime(milliseconds: 5_000)),
                .pauseQueue(for: .seconds(30)), .pauseQueue(until: WallTime(milliseconds: 90_000), because: "down"),
                .pauseQueue(until: WallTime(milliseconds: 3)),
            ]
            return Ruling(outcomes.randomElement(using: &numbers) ?? .done)
        }

        private mutating func answer(_ error: BrokerError?, of generation: Int, _ input: RuntimeState.Input) {
            if error?.code == .connectionLost, generation == state.generation, state.link == .up {
                forgotten += state.held.count { $0.stage == .waiting }
            }
            handle(input)
        }

        mutating func step(deliversMore: Bool) {
            switch Int.random(in: 0..<6, using: &numbers) {
            case 0...1 where deliversMore && state.link == .up && delivered < 60:
                delivered += 1
                let number = UInt64(delivered)
                handle(
                    .delivered(
                        generation: state.generation,
                        Delivery(
                            consumer: ConsumerID(rawValue: 1), lease: LeaseID(rawValue: number),
                            leaseMilliseconds: 30_000, id: MessageID(rawValue: number),
                            subscription: RefusalPropertyTests.subscriptions[Int(number % 2)], attempt: 1,
                            publishedAt: WallTime(milliseconds: 0), body: [])))
            case 2 where !running.isEmpty:
                let ticket = running.remove(at: Int.random(in: running.indices, using: &numbers))
                handle(.finished(ticket, outcome()))
            case 3 where !settling.isEmpty:
                let (ticket, settling) = settling.remove(at: Int.random(in: settling.indices, using: &numbers))
                let error = refusal()
                if error == nil { taken[settling.lease, default: 0] += 1 }
                let generation = state.held.first { $0.ticket == ticket }?.generation
                answer(error, of: generation ?? 0, .settled(ticket, error))
            case 4 where !pausing.isEmpty:
                let (name, until, generation) = pausing.removeFirst()
                let error = refusal()
                if error != nil { refusedPauses += 1 }
                answer(error, of: generation, .paused(name, until: until, generation: generation, error))
            default:
                now += .seconds(1)
                handle(.tick)
                if case .connecting = state.link { handle(.connected(generation: state.generation)) }
            }
        }
    }

    private static func run(_ seed: Int) -> World {
        var world = World(seed: UInt64(seed))
        for _ in 0..<300 { world.step(deliversMore: true) }
        for _ in 0..<5_000 where !world.state.held.isEmpty { world.step(deliversMore: false) }
        return world
    }

    @Test("A refused pause or publish gives back with a backoff, and each delivery ends once", arguments: 0..<150)
    func endsOnce(_ seed: Int) {
        let world = Self.run(seed)
        #expect(world.state.held.isEmpty, "seed \(seed)")
        #expect(world.taken.values.allSatisfy { $0 == 1 }, "seed \(seed)")
        #expect(world.taken.count + world.dropped + world.forgotten == world.delivered, "seed \(seed)")
        #expect(world.postponed.isEmpty, "seed \(seed)")
    }

    @Test("The random worlds meet what they are for") func reach() {
        let worlds = (0..<50).map(Self.run)
        #expect(worlds.count { $0.refusedPauses > 0 } > 20)
        #expect(worlds.count { $0.forgotten > 0 } > 5)
        #expect(worlds.reduce(0) { $0 + $1.state.counters.postponed } > 50)
        #expect(worlds.reduce(0) { $0 + $1.state.counters.pausedQueue } > 50)
    }
}
