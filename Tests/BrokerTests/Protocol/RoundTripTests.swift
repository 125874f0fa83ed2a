import BrokerProtocol
import Testing

@Suite("Frames from a seed") struct RoundTripTests {
    static let seeds: [UInt64] = [1, 7, 42, 2_026, UInt64.random(in: .min ... .max)]

    @Test("Frames of every kind, cut into random pieces, arrive as they were sent", arguments: seeds)
    func roundTrip(seed: UInt64) throws {
        for direction in [ProtocolPage.Direction.client, .broker] {
            var frames = RandomFrames(seed: seed)
            let sent = (0..<600).map { _ in frames.frame(from: direction) }
            var writer = ByteWriter()
            for frame in sent { frame.encode(into: &writer) }

            var decoder = FrameDecoder(side: direction == .client ? .broker : .client, frameBytesMax: 8 << 20)
            var received: [Frame] = []
            var position = 0
            while position < writer.bytes.count {
                let most = frames.number(0...20) == 0 ? 10_000 : 50
                let end = min(position + frames.number(1...most), writer.bytes.count)
                decoder.append(writer.bytes[position..<end])
                position = end
                while let frame = try decoder.next() { received.append(frame) }
            }
            #expect(received == sent, "seed \(seed), from the \(direction)")
            #expect(decoder.bufferedBytes == 0, "seed \(seed)")
        }
    }

    @Test("Reading and writing again gives the same bytes", arguments: seeds) func stableBytes(seed: UInt64) throws {
        for direction in [ProtocolPage.Direction.client, .broker] {
            var frames = RandomFrames(seed: seed)
            for _ in 0..<300 {
                let bytes = frames.frame(from: direction).bytes
                var decoder = FrameDecoder(side: direction == .client ? .broker : .client, frameBytesMax: 8 << 20)
                decoder.append(bytes)
                #expect(try decoder.next()?.bytes == bytes, "seed \(seed)")
            }
        }
    }

    @Test("The smallest item of each list is read") func smallestItems() throws {
        let name = try #require(SubscriptionName("t@s"))
        let time = WallTime(milliseconds: 0)
        let letter = DeadLetter(
            id: MessageID(rawValue: 0), subscription: name, code: nil, reason: "", lastError: nil, attempts: 0,
            redrives: 0,
            publishedAt: time, deadAt: time, headers: [], body: [])
        let delivery = Delivery(
            consumer: ConsumerID(rawValue: 0), lease: LeaseID(rawValue: 0), leaseMilliseconds: 0,
            id: MessageID(rawValue: 0), subscription: name, attempt: 0, publishedAt: time, body: [])
        var topic = TopicStatus(name: name.topic, settings: TopicSettings())
        topic.subscriptions = [SubscriptionStatus(name: name)]
        let responses: [Response] = [
            .deadLetters([letter]), .messages([delivery]), .topics([topic]), .committed([]),
            .topics([TopicStatus(name: name.topic, settings: TopicSettings())]),
            .published([.failure(BrokerError(.unsupported, ""))]), .settled([BrokerError(.leaseLost, "")]),
        ]
        for response in responses {
            var decoder = FrameDecoder(side: .client, frameBytesMax: 1 << 20)
            decoder.append(Frame.response(1, response).bytes)
            #expect(try decoder.next() == .response(1, response))
        }
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 1 << 20)
        let publish = Request.publish([OutgoingMessage(topic: name.topic, body: [])])
        decoder.append(Frame.request(1, publish).bytes)
        #expect(try decoder.next() == .request(1, publish))
    }

    @Test("Ten thousand neighbouring acks take one run") func runs() {
        let settlements = (0..<10_000).map { Settlement(LeaseID(rawValue: 5 + $0), .ack) }
        #expect(Frame.request(1, .settle(settlements)).bytes.count == 12 + 4 + 13)
    }

    @Test("A text beyond 65,535 bytes is cut at the end of a character") func longText() throws {
        let long = String(repeating: "🫖", count: 20_000)
        var decoder = FrameDecoder(side: .client, frameBytesMax: 1 << 20)
        decoder.append(Frame.response(1, .refused(BrokerError(.unsupported, long))).bytes)
        guard case .response(1, .refused(let error)) = try decoder.next() else {
            Issue.record("not a refusal")
            return
        }
        #expect(error.message == String(repeating: "🫖", count: 16_383))
        #expect("ab🫖".clipped(toBytes: 5) == "ab")
        #expect("ab🫖".clipped(toBytes: 6) == "ab🫖")
        #expect("🫖".clipped(toBytes: 0) == "")
    }
}
