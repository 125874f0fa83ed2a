import BrokerProtocol
import TestSupport
import Testing

/// Suites with real processes run one after the other: they share two cores with all other tests.
@Suite("The workerd process", .serialized, .timeLimit(.minutes(2)))
enum ProcessTests {}

extension ProcessTests {
    /// What the service manager is told, and when.
    @Suite("Readiness and watchdog", .serialized)
    struct ReadinessTests {
        @Test("READY=1 waits for the broker; until then STATUS= counts the tries, and the watchdog is fed")
        func readiness() async throws {
            let house = try WorkerHouse()
            // Twice the pulse of the runtime and a margin, for the watchdog asks at half of it.
            let worker = try house.spawnWorker("email-1", environment: ["WATCHDOG_USEC": "6000000"])
            try await worker.manager.message(with: "STATUS=broker gone, reconnecting, 2nd try")
            try await worker.manager.message(with: "STATUS=broker gone, reconnecting, 4th try")
            _ = try await worker.manager.messages(2, with: "WATCHDOG=1")
            #expect(!worker.manager.messages.contains { $0.text.contains("READY=1") })
            try await worker.child.line(with: "email-1 has no broker: CONNECTION_REFUSED")

            let broker = try await house.startBroker()
            try await worker.ready()
            // Every subscription was there before.
            let topics = try await house.connect().topics()
            let subscribed = topics.flatMap { topic in topic.subscriptions.map { "\($0.name)" } }
            #expect(
                subscribed.sorted() == [
                    "order.created@email", "order.paid@email", "order.rejected@email", "payment.failed@email",
                ])
            try await worker.manager.message(with: "STATUS=0 of 16 slots busy, 0 done, 0 rejected")
            _ = try await worker.manager.messages(3, with: "WATCHDOG=1")
            #expect(worker.manager.messages.count { $0.text.contains("READY=1") } == 1)
            #expect(try await worker.stop() == .exited(0))
            #expect(try await broker.stop() == .exited(0))
        }

        @Test("A stop while there is no broker ends at once")
        func stopWithoutBroker() async throws {
            let house = try WorkerHouse()
            let worker = try house.spawnWorker("payment-1")
            try await worker.manager.message(with: "STATUS=broker gone, reconnecting, 2nd try")
            #expect(try await worker.stop() == .exited(0))
            #expect(try await worker.manager.all().contains { $0.text.contains("STOPPING=1") })
        }
    }
}
