import BrokerClient
import BrokerProtocol
import Glibc
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// Z4 of docs/SEMANTICS.md, with signals.
    @Suite("Stop", .serialized)
    struct StopTests {
        private let topic = TopicName("order.created")!
        private let subscription = SubscriptionName("order.created")!

        /// Publishes two messages and takes the first.
        private func lease(_ client: BrokerClient) async throws -> (DeliveryStream, Delivery) {
            _ = try await client.publish((1...2).map { OutgoingMessage(topic: topic, body: [UInt8($0)]) })
            let stream = try await client.deliveries(
                of: subscription, credit: 1, start: .beginning, leaseMilliseconds: nil)
            for try await delivery in stream { return (stream, delivery) }
            throw Late("a delivery")
        }

        @Test(
            "A stop takes nothing new, ends the streams, and waits for the last verdict", arguments: [SIGTERM, SIGINT])
        func drain(signal: Int32) async throws {
            let house = try ServiceHouse()
            let service = try await house.start(listen: ["unix://\(house.socket)", "tcp://127.0.0.1:0"])
            let tcp = try await service.tcpURL()
            let client = try await service.connect()
            let (stream, delivery) = try await lease(client)
            service.child.send(signal)
            for try await _ in stream { Issue.record("a delivery while draining") }
            #expect(!Directory.exists(house.socket))
            for url in [service.url, tcp] {
                let refusal = await #expect(throws: BrokerError.self) { try await service.connect(url: url) }
                #expect(refusal?.code == .connectionRefused)
            }
            let message = OutgoingMessage(topic: topic, body: [3])
            let refusal = await #expect(throws: BrokerError.self) { try await client.publish(message) }
            #expect(refusal?.code == .shuttingDown)
            let pop = await #expect(throws: BrokerError.self) {
                try await client.pop([subscription], timeoutMilliseconds: -1)
            }
            #expect(pop?.code == .shuttingDown)
            #expect(service.child.ending == nil)
            try await client.settle(delivery.lease, .ack)
            #expect(try await service.child.end() == .exited(0))

            let next = try await house.start()
            let left = try await next.connect().pop([subscription], timeoutMilliseconds: 0)
            #expect(left?.body == [2] && left?.attempt == 1)
            #expect(try await next.stop() == .exited(0))
        }

        @Test("A second signal does not wait; what was leased is delivered again at the next start")
        func secondSignal() async throws {
            let house = try ServiceHouse("drain_timeout = 1h")
            let service = try await house.start()
            let client = try await service.connect()
            let held = try await lease(client)
            service.child.send(SIGTERM)
            try await service.manager.message(with: "STATUS=draining, 1 leases to settle")
            service.child.send(SIGTERM)
            #expect(try await service.child.end() == .exited(0))
            withExtendedLifetime(held) {}
            #expect(!Directory.exists(house.socket))

            let next = try await house.start()
            let again = try await next.connect().pop([subscription], timeoutMilliseconds: 0)
            #expect(again?.body == [1] && again?.attempt == 2)
            #expect(try await next.stop() == .exited(0))
        }

        @Test("drain_timeout bounds the wait for verdicts")
        func drainTimeout() async throws {
            let house = try ServiceHouse("drain_timeout = 300ms")
            let service = try await house.start()
            let client = try await service.connect()
            let held = try await lease(client)
            let before = Clocks.monotonicMilliseconds()
            #expect(try await service.stop() == .exited(0))
            #expect(Clocks.monotonicMilliseconds() - before >= 300)
            withExtendedLifetime(held) {}
        }

        @Test("What was asked before the stop is answered before the end")
        func lastAnswers() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            let wire = try Wire.open(service.url)
            let message = OutgoingMessage(topic: topic, body: [UInt8](repeating: 1, count: 10_000))
            for correlation in 1...500 { try wire.send(.request(UInt32(correlation + 1), .publish([message]))) }
            service.child.send(SIGTERM)
            let frames = try await blocking { try wire.rest() }
            #expect(try await service.child.end() == .exited(0))
            var confirmed: Set<MessageID> = []
            for case .response(_, .published(let results)) in frames {
                for case .success(let receipt) in results { confirmed.insert(receipt.id) }
            }
            let next = try await house.start()
            #expect(try await next.connect().status().messages >= UInt64(confirmed.count))
            #expect(try await next.stop() == .exited(0))
        }

        @Test("A stop whose last sync fails ends with 74, not with 0", .enabled(if: Tracer.isThere, Tracer.reason))
        func lastSync() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            let client = try await service.connect()
            try await client.publish(OutgoingMessage(topic: topic, body: [1]))
            let tracer = try await Tracer.attach(
                to: service.child, ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"])
            #expect(try await service.stop() == .exited(74))
            _ = try await tracer.end()
            let line = try await service.child.line(with: "\"level\":\"critical\"")
            #expect(line.contains("fdatasync ") && line.contains("a restart recovers what was confirmed"))
            let next = try await house.start()
            #expect(try await next.connect().status().messages == 1)
            #expect(try await next.stop() == .exited(0))
        }
    }
}
