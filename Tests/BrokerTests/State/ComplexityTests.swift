import BrokerProtocol
import Foundation
import Testing

@testable import Broker

/// What an operation costs in entries that it looks at, among few messages and among many. Counts, because a machine's
/// speed does not change them.
@Suite("Costs of the operations") struct ComplexityTests {
    /// `BROKER_MESSAGES=1000000` goes on to that many.
    private static var sizes: [Int] {
        let most = ProcessInfo.processInfo.environment["BROKER_MESSAGES"].flatMap { Int($0) } ?? 30_000
        return [1_000, 10_000, 100_000, 1_000_000].filter { $0 < most } + [most]
    }

    /// How often each operation is done; the count is that of the most expensive one in the middle of them.
    private static let rounds = 33

    @Test(
        "Every operation looks at O(log n) entries, beside those that it answers or moves",
        .enabled(if: Touches.areCounted))
    func costs() throws {
        var table: [String: [Int]] = [:]
        var names: [String] = []
        for size in Self.sizes {
            let crowd = Crowd(size: size)
            for operation in Crowd.operations {
                var counts: [Int] = []
                for round in 0..<Self.rounds {
                    let counter = Touches.Counter()
                    try Touches.$counter.withValue(counter) { try operation.run(crowd, round) }
                    counts.append(counter.count)
                }
                if table[operation.name] == nil { names.append(operation.name) }
                table[operation.name, default: []].append(counts.sorted()[Self.rounds / 2])
            }
            #expect(size > 1_000 || crowd.broker.state.disagreements() == [])
        }
        let growth = log2(Double(Self.sizes.last!)) / log2(Double(Self.sizes[0]))
        for name in names {
            let counts = table[name]!
            let bound = Double(counts[0]) * growth * 1.5 + 24
            #expect(Double(counts.last!) <= bound, "\(name): \(counts) entries among \(Self.sizes) messages")
            #expect(counts[0] > 0, "\(name) is counted")
        }
        if ProcessInfo.processInfo.environment["BROKER_MESSAGES"] != nil {
            print("| operation | \(Self.sizes.map { "\($0)" }.joined(separator: " | ")) |")
            for name in names { print("| \(name) | \(table[name]!.map { "\($0)" }.joined(separator: " | ")) |") }
        }
    }
}

/// A broker that holds very many messages in every state that there is.
private final class Crowd {
    struct Operation {
        let name: String
        let run: (Crowd, Int) throws -> Void
        init(_ name: String, _ run: @escaping (Crowd, Int) throws -> Void) {
            self.name = name
            self.run = run
        }
    }

    let broker: StateHarness
    private let size: Int
    /// The first id of those that are ready, and of those that are dead.
    private let ready: UInt64
    private let dead: UInt64
    /// Held by session 1, to be settled.
    private var leases: [LeaseID] = []

    private static let topics = ["ready", "dead", "delayed", "expiring", "keys"]

    /// Half of them are ready, the others dead, delayed, about to expire, and behind ordering keys.
    init(size: Int) {
        var limits = StateLimits()
        limits.delayedMax = 2_000_000
        limits.leasesPerConnectionMax = 2_000_000
        broker = StateHarness(limits: limits, journal: MemoryJournal(segmentBytes: 1 << 40))
        self.size = size
        let part = size / 8
        for topic in Self.topics { broker.send(.subscriptionCreate(broker.name("\(topic)@a"), .beginning)) }
        ready = 1
        dead = UInt64(size / 2 + 1)
        let start = broker.now.wall
        fill("ready", size / 2) { _, _ in }
        fill("dead", part) { _, _ in }
        fill("delayed", part) { message, index in
            message.deliverAt = start.adding(milliseconds: Int64(index + 1) * 1_000)
        }
        fill("expiring", part) { message, index in
            message.expiresAt = start.adding(milliseconds: Int64(index + 1) * 1_000)
        }
        fill("keys", part) { message, index in message.orderingKey = "key-\(index % (part / 2))" }
        bury()
        for _ in 0..<5 * 33 { take("ready") }
    }

    private func fill(_ topic: String, _ count: Int, _ change: (inout OutgoingMessage, Int) -> Void) {
        for start in stride(from: 0, to: count, by: 1_000) {
            broker.ask(
                .publish(
                    (start..<min(start + 1_000, count)).map { index in
                        var message = broker.message(topic)
                        change(&message, index)
                        return message
                    }))
        }
    }

    private func bury() {
        broker.subscribe("dead@a", credit: 1_000)
        while broker.state.subscription(named: broker.name("dead@a"))!.readyCount > 0 || !held.isEmpty {
            broker.ask(.settle(held.map { Settlement($0, .reject(reason: "no")) }))
            broker.turn()
        }
        broker.ask(.unsubscribe(consumer: ConsumerID(rawValue: 1)))
    }

    private var held: [LeaseID] { broker.state.leases.keys.sorted() }

    private func take(_ topic: String) {
        guard let notice = broker.pop("\(topic)@a") else { return }
        leases.append(notice.lease)
    }

    private func settle(_ verdict: Verdict) { broker.send(.settle([Settlement(leases.removeLast(), verdict)])) }

    /// A message in the middle of those that are ready.
    private func middle(_ round: Int) -> MessageID { id(ready + UInt64(size / 4 + 3 * round)) }
    private func dead(_ round: Int) -> MessageID { id(dead + UInt64(size / 32 + round)) }

    private func demand(_ response: Response?) throws {
        if let code = code(response) { throw BrokerError(code, "the operation was refused") }
        try #require(response != nil)
    }

    static var operations: [Operation] {
        [
            Operation("publish") { crowd, _ in crowd.broker.publish("ready") },
            Operation("publish with a dedup id") { crowd, round in
                crowd.broker.publish(crowd.broker.message("ready", dedup: "d-\(round)"))
            },
            Operation("publish with a deliver-at") { crowd, _ in
                crowd.broker.publish(crowd.broker.message("delayed", deliverAt: crowd.broker.later(1_000_500)))
            },
            Operation("pop") { crowd, _ in crowd.take("ready") },
            Operation("pop of a key") { crowd, _ in crowd.take("keys") },
            Operation("ack of a key, and the next one") { crowd, _ in
                crowd.settle(.ack)
                crowd.broker.turn()
            },
            Operation("extend") { crowd, _ in
                try crowd.demand(crowd.broker.send(.extend([crowd.leases.last!], milliseconds: 60_000)))
            },
            Operation("ack") { crowd, _ in crowd.settle(.ack) },
            Operation("fail") { crowd, _ in crowd.settle(.fail(error: "e", afterMilliseconds: 5_000_000)) },
            Operation("release") { crowd, _ in crowd.settle(.release()) },
            Operation("reject") { crowd, _ in crowd.settle(.reject(reason: "no")) },
            Operation("commit") { crowd, _ in
                let lease = crowd.leases.removeLast()
                try crowd.demand(
                    crowd.broker.send(
                        .commit(publishes: [crowd.broker.message("ready")], settlements: [Settlement(lease, .ack)]))
                )
            },
            Operation("deliver") { crowd, _ in
                crowd.broker.subscribe("ready@a", 2, credit: 1)
                crowd.broker.send(.unsubscribe(consumer: ConsumerID(rawValue: 1)), 2)
            },
            Operation("cancel") { crowd, round in
                try crowd.demand(crowd.broker.send(.cancel([crowd.middle(round)])))
            },
            Operation("reschedule") { crowd, round in
                let time = crowd.broker.later(7_000_000)
                try crowd.demand(crowd.broker.send(.reschedule([crowd.middle(round + 40)], time)))
            },
            Operation("page of 10 messages") { crowd, round in
                let topic = crowd.broker.topic("ready")
                crowd.broker.send(.peek(topic, from: crowd.middle(round), limit: 10))
            },
            Operation("page of 10 dead letters") { crowd, round in
                crowd.broker.send(.deadList(crowd.broker.name("dead@a"), from: crowd.dead(round), limit: 10))
            },
            Operation("redrive by id") { crowd, round in
                try crowd.demand(crowd.broker.send(.deadRedrive(crowd.broker.name("dead@a"), [crowd.dead(round)])))
            },
            Operation("purge by id") { crowd, round in
                try crowd.demand(
                    crowd.broker.send(.deadPurge(crowd.broker.name("dead@a"), [crowd.dead(round + 33)])))
            },
            Operation("a turn with one due, one expired") { crowd, _ in crowd.broker.pass(milliseconds: 1_000) },
            Operation("status") { crowd, _ in try crowd.demand(crowd.broker.send(.status)) },
        ]
    }
}
