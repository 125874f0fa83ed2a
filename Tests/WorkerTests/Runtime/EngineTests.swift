import Broker
import BrokerProtocol
import Foundation
import TestSupport
import Testing
import Workers

/// The runtime on the broker itself, in this process.
@Suite(.timeLimit(.minutes(1))) struct EngineTests {
    private func withBroker(_ body: (Broker, LocalSession) async throws -> Void) async throws {
        let directory = NSTemporaryDirectory() + "/runtime-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let broker = try await Broker.start(BrokerConfiguration(dataDirectory: directory))
        do {
            let session = try broker.connect(instance: "test")
            try await body(broker, session)
            await session.close()
        } catch {
            await broker.stop()
            throw error
        }
        await broker.stop()
    }

    private func runtime(
        on broker: Broker, events: Recorder<RuntimeEvent>, slots: Int = 4,
        _ body: @escaping @Sendable (Parcel, Attempt) async throws -> Outcome
    ) -> WorkerRuntime {
        var role = Role("post")
        role.register(ClosureWorker<Parcel>(body: body))
        var configuration = RuntimeConfiguration(instance: "post-1")
        configuration.slots = slots
        @Sendable func connect() async throws(BrokerError) -> any MessageBroker {
            try broker.connect(instance: "post-1")
        }
        return WorkerRuntime(
            roles: [role], configuration: configuration, connect: connect, observe: { events.add($0) })
    }

    private func parcels(_ numbers: ClosedRange<Int>) throws -> [OutgoingMessage] {
        try numbers.map { try Publication(Parcel(number: $0)).message }
    }

    private static func settled(_ events: [RuntimeEvent]) -> [(Attempt, Ending)] {
        events.compactMap { if case .settled(let attempt, let ending, _) = $0 { (attempt, ending) } else { nil } }
    }

    @Test("Every event is handled, failed attempts again, and each done one has published once") func flow()
        async throws
    {
        try await withBroker { broker, session in
            try await session.administer(.subscriptionCreate(RuntimeFixture.parcels, .beginning))
            var settings = DeliverySettings()
            settings.backoffBaseMilliseconds = 1
            settings.backoffCapMilliseconds = 10
            try await session.administer(.subscriptionSet(RuntimeFixture.parcels, settings))
            for result in try await session.publish(try parcels(1...100)) { _ = try result.get() }
            let events = Recorder<RuntimeEvent>()
            let runtime = runtime(on: broker, events: events) { parcel, attempt in
                if parcel.number % 10 == 0, attempt.number == 1 { throw Mishap(description: "no stamps") }
                if parcel.number == 55 { return .reject("no address") }
                return .done(publishing: [try Publication(Receipt(number: parcel.number))])
            }
            let run = RuntimeRun(runtime)
            await events.until { Self.settled($0).count { $0.1 == .done(published: 1) } == 99 }
            await events.until { Self.settled($0).contains { $0.1 == .rejected(reason: "no address") } }
            runtime.drain()
            try await run.value
            let topics = try await session.topics()
            let parcel = try #require(topics.first { $0.name == Parcel.topic }?.subscriptions.first)
            #expect([parcel.ready, parcel.delayed, parcel.leased, parcel.dead] == [0, 0, 0, 1])
            #expect(topics.first { $0.name == Receipt.topic }?.published == 99)
            #expect(Self.settled(events.values).count { $0.1 == .failed(error: "no stamps") } == 10)
        }
    }

    @Test("A drain on the broker itself counts no attempt of what it gives back") func drain() async throws {
        try await withBroker { broker, session in
            try await session.administer(.subscriptionCreate(RuntimeFixture.parcels, .beginning))
            for result in try await session.publish(try parcels(1...20)) { _ = try result.get() }
            let events = Recorder<RuntimeEvent>()
            let first = runtime(on: broker, events: events, slots: 2) { _, _ in
                try await Gate().waitOrCancel()
                return .done
            }
            let run = RuntimeRun(first)
            await events.until { $0.count { if case .started = $0 { true } else { false } } == 2 }
            first.drain()
            first.drain()
            try await run.value
            let subscription = try #require(
                try await session.topics().first { $0.name == Parcel.topic }?.subscriptions.first)
            #expect([subscription.ready, subscription.delayed, subscription.leased] == [20, 0, 0])

            let attempts = Recorder<UInt32>()
            let second = runtime(on: broker, events: Recorder()) { _, attempt in
                attempts.add(attempt.number)
                return .done
            }
            let rerun = RuntimeRun(second)
            await attempts.until { $0.count == 20 }
            second.drain()
            try await rerun.value
            #expect(attempts.values == Array(repeating: 1, count: 20))
        }
    }
}
