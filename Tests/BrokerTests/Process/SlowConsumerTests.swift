import BrokerClient
import BrokerProtocol
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    @Suite("Slow consumers", .serialized)
    struct SlowConsumerTests {
        private let topic = TopicName("order.created")!

        @Test("A consumer that never reads costs a bounded amount of memory, and disturbs nobody")
        func neverReads() async throws {
            let house = try ServiceHouse("output_max = 256K\nleases_max = 100000")
            let service = try await house.start()
            let client = try await service.connect()
            let reader = SubscriptionName("order.created@reader")!
            try await client.administer(.subscriptionCreate(reader, .beginning))
            let sleepers = try (1...5).map { number in
                let wire = try Wire.open(service.url)
                let name = SubscriptionName("order.created@sleeper-\(number)")!
                try wire.send(
                    .request(
                        9,
                        .subscribe(
                            consumer: ConsumerID(rawValue: 1), subscription: name, credit: 100_000, start: .beginning,
                            leaseMilliseconds: nil)))
                return wire
            }
            let stream = try await client.deliveries(
                of: reader, credit: 100, start: .beginning, leaseMilliseconds: nil)
            var iterator = stream.makeAsyncIterator()
            let body = [UInt8](repeating: 7, count: 100_000)
            // What is kept of the newest records, 16 MiB, is full after this.
            var before = 0
            var received = 0
            for round in 0..<16 {
                let batch = Array(repeating: OutgoingMessage(topic: topic, body: body), count: 4)
                for _ in 0..<10 { for result in try await client.publish(batch) { _ = try result.get() } }
                while received < (round + 1) * 40 {
                    let delivery = try #require(try await iterator.next())
                    try await client.settle(delivery.lease, .ack)
                    received += 1
                }
                if round == 5 { before = try service.child.residentKilobytes() }
            }
            // 40 MB more for each of the five, had they been kept.
            let growth = try service.child.residentKilobytes() - before
            #expect(growth < 16 << 10, "\(growth) KiB more")
            #expect(try await client.status().connections == 6)
            withExtendedLifetime(sleepers) {}
            service.child.send(9)
            _ = try await service.child.end()
        }

        @Test("A client that asks and never reads is not read from any more, and costs a bounded amount of memory")
        func neverReadsAnswers() async throws {
            let house = try ServiceHouse("output_max = 64K")
            let service = try await house.start()
            let client = try await service.connect()
            _ = try await client.publish(
                (1...10).map { _ in OutgoingMessage(topic: topic, body: [UInt8](repeating: 1, count: 20_000)) })
            let wire = try Wire.open(service.url)
            let peek = Request.peek(topic, from: MessageID(rawValue: 0), limit: 10)
            let before = try service.child.residentKilobytes()
            // Each small request asks for 200 KB; the broker must stop reading long before the last one.
            let sent = try await blocking {
                try wire.sendUntilBlocked(Frame.request(7, peek).bytes, countMax: 1_000_000)
            }
            #expect(sent < 1_000_000)
            let growth = try service.child.residentKilobytes() - before
            #expect(growth < 32 << 10, "\(growth) KiB more")
            #expect(try await client.status().connections == 2)
            #expect(try await service.stop() == .exited(0))
        }
    }
}

extension Wire {
    /// Writes the bytes again and again until the broker takes no more for 200 ms.
    /// - Returns: How often they were written.
    fileprivate func sendUntilBlocked(_ bytes: [UInt8], countMax: Int) throws -> Int {
        for count in 0..<countMax {
            if try !write(bytes, milliseconds: 200) { return count }
        }
        return countMax
    }
}
