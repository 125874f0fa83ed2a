import BrokerClient
import BrokerProtocol
import LinuxIO
import TestSupport
import Testing
import Workers

extension ProcessTests {
    /// The runtime of this process on a brokerd that is killed.
    @Suite("Outcomes over kill -9 of brokerd", .serialized)
    struct RuntimeRestartTests {
        private static func runtime(
            _ url: String, _ events: Recorder<RuntimeEvent>,
            _ body: @escaping @Sendable (Parcel, Attempt) async throws -> Outcome
        ) -> WorkerRuntime {
            var role = Role("post")
            role.register(ClosureWorker<Parcel>(body: body))
            return WorkerRuntime(
                roles: [role], configuration: RuntimeConfiguration(instance: "post-1"),
                connect: { () async throws(BrokerError) -> any MessageBroker in
                    try await BrokerClient.connect(to: url, client: "tests", instance: "post-1")
                }, observe: { events.add($0) })
        }

        private static var now: WallTime { WallTime(milliseconds: Clocks.wallMilliseconds()) }

        enum Wait: String, CaseIterable { case snooze, pauseQueue }

        @Test(
            "What waits until a time waits over kill -9, comes then, and has cost no attempt", arguments: Wait.allCases)
        func until(_ wait: Wait) async throws {
            let house = try WorkerHouse()
            let broker = try await house.startBroker()
            let shop = try await house.connect()
            let until = Self.now.adding(milliseconds: 4_000)
            let events = Recorder<RuntimeEvent>()
            let started = Recorder<(WallTime, Attempt)>()
            let runtime = Self.runtime(house.url, events) { parcel, attempt in
                started.add((Self.now, attempt))
                if attempt.deliveries > 1 || parcel.number > 1 { return .done }
                return wait == .snooze ? .snooze(until: until) : .pauseQueue(until: until, because: "no trucks")
            }
            let run = RuntimeRun(runtime)
            try await shop.publish(try Publication(Parcel(number: 1)))
            await events.until { $0.contains { if case .settled = $0 { true } else { false } } }
            if wait == .pauseQueue { try await shop.publish(try Publication(Parcel(number: 2))) }
            try await broker.kill()
            let second = try await house.startBroker()
            await events.until { events in
                events.count { if case .settled(_, .done, _) = $0 { true } else { false } } == (wait == .snooze ? 1 : 2)
            }
            runtime.drain()
            try await run.value
            #expect(started.values.map(\.1.number).allSatisfy { $0 == 1 })
            #expect(started.values.dropFirst().allSatisfy { $0.0 >= until })
            #expect(started.values.dropFirst().allSatisfy { $0.0 < until.adding(milliseconds: 15_000) })
            #expect(started.values.count == (wait == .snooze ? 2 : 3))
            #expect(try await second.stop() == .exited(0))
        }

        @Test("A handler whose broker dies between its publish and its commit publishes once, by its dedup id")
        func dedup() async throws {
            let house = try WorkerHouse()
            let broker = try await house.startBroker()
            let shop = try await house.connect()
            let events = Recorder<RuntimeEvent>()
            let receipts = Recorder<PublishReceipt>()
            let runtime = Self.runtime(house.url, events) { parcel, attempt in
                let receipt = try Publication(Receipt(number: parcel.number), dedupID: "receipt of \(attempt.stableID)")
                if receipts.values.isEmpty {
                    receipts.add(try await shop.publish(receipt))
                    try await broker.kill()
                }
                return .done(publishing: [receipt])
            }
            let run = RuntimeRun(runtime)
            try await shop.publish(try Publication(Parcel(number: 1), dedupID: "parcel 1"))
            await events.until { $0.contains { if case .brokerGone = $0 { true } else { false } } }
            let second = try await house.startBroker()
            await events.until { $0.contains { if case .settled(_, .done, _) = $0 { true } else { false } } }
            runtime.drain()
            try await run.value
            let client = try await house.connect()
            let published = try await client.peek(Receipt.topic)
            #expect(published.map(\.id) == receipts.values.map(\.id))
            #expect(try await client.peek(Parcel.topic).isEmpty)
            await client.close()
            #expect(try await second.stop() == .exited(0))
        }

        @Test("Kills between publishes and acks: each event has published once, whatever was repeated")
        func kills() async throws {
            let house = try WorkerHouse()
            var broker = try await house.startBroker()
            let shop = try await house.connect()
            let count = 300
            for result in try await shop.publish((1...count).map { try Publication(Parcel(number: $0)) }) {
                _ = try result.get()
            }
            let events = Recorder<RuntimeEvent>()
            let runtime = Self.runtime(house.url, events) { parcel, attempt in
                .done(publishing: [try Publication(Receipt(number: parcel.number), dedupID: attempt.stableID)])
            }
            let run = RuntimeRun(runtime)
            func done(_ number: Int) async {
                await events.until { events in
                    events.count { if case .settled(_, .done, _) = $0 { true } else { false } } >= number
                }
            }
            for number in [40, 110, 200] {
                await done(number)
                try await broker.kill()
                broker = try await house.startBroker()
            }
            let client = try await house.connect()
            while try await client.topics().first(where: { $0.name == Parcel.topic })?.subscriptions.first?.isIdle
                != true
            {
                let seen = events.values.count
                await events.until { $0.count > seen }
            }
            runtime.drain()
            try await run.value
            let numbers = try await client.peek(Receipt.topic, limit: 1_000).map { delivery in
                String(decoding: delivery.body, as: UTF8.self)
            }
            #expect(numbers.sorted() == (1...count).map { "{\"number\":\($0)}" }.sorted())
            await client.close()
            #expect(try await broker.stop() == .exited(0))
        }

        @Test("A topic whose intake is paused: workerd says so and what to do, the order waits without an attempt")
        func refusedPublish() async throws {
            let house = try WorkerHouse()
            let broker = try await house.startBroker()
            let shop = try await house.connect()
            let payments = PauseTarget.topic(PaymentProcess.topic)
            try await shop.createTopic(PaymentProcess.topic)
            try await shop.pause(payments, .intake)
            let worker = try await house.startWorker("inventory-1")
            try await OrderBook(count: 1).publish(to: shop)
            let line = try await worker.child.line(with: "TOPIC_PAUSED (212)")
            #expect(line.contains("the event comes again in "))
            #expect(line.contains("brokerctl resume TOPIC lets its publishes go on"))
            try await shop.resume(payments, .intake)
            try await worker.outcomes(1, of: "order.created@inventory")
            #expect(worker.log.filter(\.isStart).allSatisfy { $0.attempt == "1" })
            #expect(try await shop.peek(PaymentProcess.topic).count == 1)
            #expect(try house.beans() == 999)
            #expect(try await worker.stop() == .exited(0))
            #expect(try await broker.stop() == .exited(0))
        }
    }
}

extension SubscriptionStatus {
    fileprivate var isIdle: Bool { ready + delayed + leased == 0 }
}
