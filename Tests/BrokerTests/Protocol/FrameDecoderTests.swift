import BrokerProtocol
import Testing

@Suite("Cutting a stream into frames") struct FrameDecoderTests {
    private func failure(_ decoder: inout FrameDecoder) -> FrameDecoder.Failure? {
        do throws(FrameDecoder.Failure) {
            _ = try decoder.next()
            return nil
        } catch {
            return error
        }
    }

    @Test("Byte by byte, a frame comes out with its last byte") func bytewise() throws {
        let frame = Frame.request(9, .credit(consumer: ConsumerID(rawValue: 1), credit: 2))
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 1_000)
        for byte in frame.bytes.dropLast() {
            decoder.append([byte])
            #expect(try decoder.next() == nil)
        }
        #expect(decoder.bufferedBytes == frame.bytes.count - 1)
        decoder.append(frame.bytes.suffix(1))
        #expect(try decoder.next() == frame)
        #expect(try decoder.next() == nil)
    }

    @Test("With a shared buffer, frames come out as without, and what is left stays with the connection")
    func sharedBuffer() throws {
        let frames = (0..<400 as Range<UInt32>).map { number -> Frame in
            let topic = TopicName("topic.\(number % 7)")!
            let body = [UInt8](repeating: UInt8(number % 251), count: number == 50 ? 40_000 : Int(number))
            return .request(number, .publish([OutgoingMessage(topic: topic, body: body)]))
        }
        let stream = frames.flatMap(\.bytes)
        var room: [UInt8] = []
        room.reserveCapacity(1 << 16)
        for step in [1, 7, 1_000, 20_000] where step > 1 || stream.count < 200_000 {
            var decoders = [FrameDecoder](repeating: FrameDecoder(side: .broker, frameBytesMax: 1 << 20), count: 2)
            var found: [[Frame]] = [[], []]
            for start in stride(from: 0, to: stream.count, by: step) {
                for index in 0...1 {
                    decoders[index].borrow(&room)
                    decoders[index].append(stream[start..<min(start + step, stream.count)])
                    while let frame = try decoders[index].next() { found[index].append(frame) }
                    decoders[index].giveBack(&room)
                    #expect(room.isEmpty)
                }
            }
            #expect(found == [frames, frames])
        }
    }

    @Test("Every spelling of a topic is checked, also behind one that is known") func topics() throws {
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 1 << 20)
        func publish(_ topic: TopicName) -> Frame { .request(1, .publish([OutgoingMessage(topic: topic, body: [])])) }
        for number in 0..<1_000 {
            let frame = publish(TopicName("t\(number % 400)")!)
            decoder.append(frame.bytes)
            #expect(try decoder.next() == frame)
        }
        var bad = publish(TopicName("t1")!).bytes
        bad[19] = UInt8(ascii: "@")
        decoder.append(bad)
        #expect(failure(&decoder)?.error.code == .malformedFrame)
    }

    @Test("A frame of exactly the limit passes, one byte more is refused before it has arrived") func limit() throws {
        let request = Frame.request(1, .topicDelete(try #require(TopicName(String(repeating: "t", count: 200)))))
        let length = request.bytes.count - 4
        var decoder = FrameDecoder(side: .broker, frameBytesMax: length)
        decoder.append(request.bytes)
        #expect(try decoder.next() == request)
        decoder.frameBytesMax = length - 1
        decoder.append(request.bytes.prefix(4))
        #expect(failure(&decoder)?.error.code == .frameTooLarge)
        #expect(decoder.bufferedBytes == 4)
    }

    @Test("Another protocol is told the version, whatever its first bytes say as a length")
    func otherProtocols() {
        for greeting in ["GET / HTTP/1.1\r\n", "*1\r\n$4\r\nPING\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "SSH-2.0-x"] {
            var decoder = FrameDecoder(side: .broker, frameBytesMax: 1 << 20)
            decoder.append(Array(greeting.utf8))
            #expect(failure(&decoder)?.error.code == .versionUnsupported, "\(greeting)")
        }
    }

    @Test("Frames before a bad one are read; from it on the stream stays refused") func refusedForGood() throws {
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 1_000)
        decoder.append(Frame.request(1, .ping).bytes + Frame.request(2, .status).bytes)
        decoder.append(Frame.response(3, .done).bytes + Frame.request(4, .ping).bytes)
        #expect(try decoder.next() == .request(1, .ping))
        #expect(try decoder.next() == .request(2, .status))
        let first = failure(&decoder)
        #expect(first?.correlation == 3)
        #expect(first?.error.code == .malformedFrame)
        #expect(failure(&decoder) == first)
    }

    @Test("Both sides read heartbeats, and only what is meant for them", arguments: UInt8.min...UInt8.max)
    func sides(kind: UInt8) {
        for side in [FrameDecoder.Side.broker, .client] {
            var decoder = FrameDecoder(side: side, frameBytesMax: 1_000)
            decoder.append([0, 0, 0, 8, 1, kind, 0, 0, 0, 0, 0, 5])
            let message = failure(&decoder)?.error.message
            let isForeign = message?.hasSuffix("does not read frames of this kind") ?? false
            let isMeant = kind == 0x7F || (side == .broker) == (kind < 0x60)
            #expect(isForeign == !isMeant, "kind \(kind) at the \(side): \(message ?? "read")")
        }
    }

    @Test("Every frame without fields refuses to have some") func trailingBytes() {
        for kind: UInt8 in [0x02, 0x23, 0x27, 0x7F] {
            var decoder = FrameDecoder(side: .broker, frameBytesMax: 1_000)
            decoder.append([0, 0, 0, 9, 1, kind, 0, 0, 0, 0, 0, 5, 0])
            #expect(failure(&decoder)?.error.message == "kind \(kind), byte 12: 1 bytes too many")
        }
    }

    @Test("The bytes of a megabyte of frames do not pile up") func bufferIsCut() throws {
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 1_000)
        let ping = Frame.request(1, .ping).bytes
        decoder.append([0, 0])
        for _ in 0..<100_000 {
            // Never a whole number of frames: the buffer is never empty when bytes come.
            decoder.append(Array(ping[2...]) + ping.prefix(2))
            #expect(try decoder.next() == .request(1, .ping))
            #expect(try decoder.next() == nil)
            #expect(decoder.bufferedBytes == 2)
        }
        let held = decoder.fill { $0.count }
        #expect(held < 1 << 17)
    }

    @Test("HELLO names at most 255 versions") func versions() throws {
        let hello = Request.hello(
            versions: [UInt8](repeating: 1, count: 300), client: "c", instance: "i", heartbeatMilliseconds: 0)
        var decoder = FrameDecoder(side: .broker, frameBytesMax: 1_000)
        decoder.append(Frame.request(1, hello).bytes)
        guard case .request(1, .hello(let versions, "c", "i", 0)) = try decoder.next() else {
            Issue.record("not a HELLO")
            return
        }
        #expect(versions.count == 255)
    }
}
