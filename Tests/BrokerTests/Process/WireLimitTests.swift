import BrokerClient
import BrokerProtocol
import LinuxIO
import TestSupport
import Testing

extension ProcessTests {
    /// Each limit of brokerd.conf has an error of its own on the wire, and hurts nobody else.
    @Suite("Limits on the wire", .serialized)
    struct WireLimitTests {
        private func message(_ topic: String, bytes: Int = 1) -> OutgoingMessage {
            OutgoingMessage(topic: TopicName(topic)!, body: [UInt8](repeating: 1, count: bytes))
        }

        /// The code of a refusal; nil when the request was done.
        private func refusal(_ body: () async throws -> Void) async throws -> BrokerError.Code? {
            do {
                try await body()
                return nil
            } catch let error as BrokerError {
                return error.code
            }
        }

        @Test("connections_max: the next connection is told why, and one that leaves makes room")
        func connections() async throws {
            let house = try ServiceHouse("connections_max = 2")
            let service = try await house.start()
            let first = try await service.connect()
            let second = try await service.connect()
            let url = service.url
            let frames = try await blocking { try Wire(to: url).rest() }
            guard frames.count == 1, case .response(0, .refused(let error)) = frames[0] else {
                Issue.record("\(frames)")
                return
            }
            #expect(error == BrokerError(.connectionLimit, "there are 2 connections, the limit connections_max"))
            let refused = await #expect(throws: BrokerError.self) { try await service.connect() }
            #expect(refused?.message.contains("CONNECTION_LIMIT") == true)
            await second.close()
            let third = try await service.connect()
            #expect(try await first.status().connections == 2)
            await third.close()
            #expect(try await service.stop() == .exited(0))
        }

        @Test("unconfirmed_max: a request that goes beyond is refused as a whole, until confirmations come")
        func unconfirmed() async throws {
            let house = try ServiceHouse("unconfirmed_max = 3")
            let service = try await house.start()
            let wire = try Wire.open(service.url)
            let message = message("a")
            let answers = try await blocking {
                // In one write, so that nothing is confirmed before all of it was read.
                var writer = ByteWriter()
                for correlation in UInt32(11)...13 {
                    Frame.request(correlation, .publish([message, message])).encode(into: &writer)
                }
                try wire.send(bytes: writer.bytes)
                let refused = try [wire.answer(to: 12), wire.answer(to: 13)]
                _ = try wire.answer(to: 11)
                return try refused + [wire.ask(.publish([message, message, message])), wire.ask(.status)]
            }
            for answer in answers.prefix(2) {
                guard case .refused(let error) = answer else {
                    Issue.record("\(answer)")
                    continue
                }
                #expect(error.code == .unconfirmedLimit && error.message.contains("unconfirmed_max is 3"))
            }
            guard case .published(let results) = answers[2], case .status(let status) = answers[3] else {
                Issue.record("\(answers)")
                return
            }
            #expect(results.count == 3 && status.messages == 5)
            #expect(try await service.stop() == .exited(0))
        }

        @Test("leases_max: no pop beyond it, no delivery beyond it, until something is settled")
        func leases() async throws {
            let house = try ServiceHouse("leases_max = 2\ndrain_timeout = 0s")
            let service = try await house.start()
            let client = try await service.connect()
            let queue = SubscriptionName("a")!
            _ = try await client.publish((1...4).map { message("a", bytes: $0) })
            let first = try #require(try await client.pop([queue], timeoutMilliseconds: 0))
            let stream = try await client.deliveries(of: queue, credit: 10, start: .beginning, leaseMilliseconds: nil)
            var iterator = stream.makeAsyncIterator()
            #expect(try await iterator.next()?.body.count == 2)
            #expect(
                try await refusal { _ = try await client.pop([queue], timeoutMilliseconds: 0) } == .leaseLimit)
            #expect(try await client.status().leased == 2)
            try await client.settle(first.lease, .ack)
            #expect(try await iterator.next()?.body.count == 3)
            #expect(client.limits.leasesPerConnectionMax == 2)
            #expect(try await service.stop() == .exited(0))
        }

        @Test("body_max, headers_max, topics_max, subscriptions_max, consumers_max, delayed_max: item by item, by name")
        func items() async throws {
            let house = try ServiceHouse(
                """
                body_max = 100
                headers_max = 50
                topics_max = 2
                subscriptions_max = 1
                consumers_max = 1
                delayed_max = 1
                drain_timeout = 0s
                """)
            let service = try await house.start()
            let client = try await service.connect()
            var headed = message("a")
            headed.headers = [Header("key", String(repeating: "x", count: 50))]
            var delayed = message("a")
            delayed.deliverAt = WallTime(milliseconds: Clocks.wallMilliseconds() + 3_600_000)
            // The client keeps what HELLO told; a connection of bytes does not.
            let wire = try Wire.open(service.url)
            let messages = [
                message("a", bytes: 101), headed, message("a", bytes: 100), message("b"), message("c"), delayed,
                delayed,
            ]
            guard case .published(let results) = try await blocking({ try wire.ask(.publish(messages)) }) else {
                Issue.record("no results")
                return
            }
            let codes = results.map { result -> BrokerError.Code? in
                if case .failure(let error) = result { error.code } else { nil }
            }
            #expect(codes == [.bodyTooLarge, .headersTooLarge, nil, nil, .topicLimit, nil, .delayedLimit])
            func make(_ name: String) async throws -> BrokerError.Code? {
                try await refusal {
                    try await client.administer(.subscriptionCreate(SubscriptionName(name)!, .beginning))
                }
            }
            #expect(try await make("a@email") == nil)
            #expect(try await make("a@payment") == .subscriptionLimit)
            #expect(try await make("c@email") == .topicLimit)
            func consume(_ name: String) async throws -> DeliveryStream {
                try await client.deliveries(
                    of: SubscriptionName(name)!, credit: 0, start: .beginning, leaseMilliseconds: nil)
            }
            let stream = try await consume("a@email")
            #expect(try await refusal { _ = try await consume("b") } == .consumerLimit)
            #expect(try await client.status().messages == 3)
            withExtendedLifetime(stream) {}
            #expect(try await service.stop() == .exited(0))
        }

        @Test("A batch beyond the limit and a body beyond the frame are refused before anything is stored")
        func frames() async throws {
            let house = try ServiceHouse()
            let service = try await house.start()
            let wire = try Wire.open(service.url)
            // 300 × 2 KB do not fit into a frame of 512 KiB.
            let large = Request.publish(Array(repeating: message("a", bytes: 2_000), count: 300))
            let frames = try await blocking {
                try wire.send(.request(5, large))
                return try wire.rest()
            }
            guard frames.count == 1, case .response(0, .refused(let error)) = frames[0] else {
                Issue.record("\(frames)")
                return
            }
            #expect(error.code == .frameTooLarge)
            let client = try await service.connect()
            let names = (1...101).map { SubscriptionName("a\($0)")! }
            #expect(
                try await refusal { _ = try await client.pop(names, timeoutMilliseconds: 0) } == .batchTooLarge)
            #expect(try await client.topics().isEmpty)
            #expect(try await service.stop() == .exited(0))
        }
    }
}
