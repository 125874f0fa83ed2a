import BrokerProtocol
import Testing

@Suite("Frames of plain publishes") struct PlainPublishFrameTests {
    private static let message = OutgoingMessage(
        topic: TopicName("orders")!, body: [1, 2, 3], headers: [Header("kind", "ä")], priority: 4)

    private static func decoder(_ bytes: [UInt8], limit: Int = 1 << 20) -> FrameDecoder {
        var decoder = FrameDecoder(side: .broker, frameBytesMax: limit)
        decoder.append(bytes)
        return decoder
    }

    @Test("Topic, priority, headers and body are found where they stand")
    func isRead() throws {
        var decoder = Self.decoder(Frame.request(77, .publish([Self.message])).bytes + Frame.heartbeat.bytes)
        var found: PlainPublish?
        let isTaken = decoder.takePlain { plain in
            found = plain
            return true
        }
        let plain = try #require(found)
        #expect(isTaken && plain.correlation == 77 && plain.topic == Self.message.topic && plain.priority == 4)
        #expect(plain.headerCount == 1 && plain.headerTextBytes == 6 && plain.bodyBytes == 3)
        var writer = ByteWriter()
        writer.headers(Self.message.headers)
        writer.blob(Self.message.body)
        #expect(Array(plain.bytes[plain.content]) == writer.bytes)
        #expect(try decoder.next() == .heartbeat)
    }

    @Test("One that is not accepted is still there")
    func isLeft() throws {
        var decoder = Self.decoder(Frame.request(77, .publish([Self.message])).bytes)
        #expect(!decoder.takePlain { _ in false })
        #expect(try decoder.next() == .request(77, .publish([Self.message])))
    }

    @Test("A frame that is cut, too long, damaged or of another kind is left to the general way")
    func isRefused() throws {
        let whole = Frame.request(77, .publish([Self.message])).bytes
        for count in 0..<whole.count {
            var decoder = Self.decoder(Array(whole[..<count]))
            #expect(!decoder.takePlain { _ in true })
        }
        var short = Self.decoder(whole, limit: whole.count - 5)
        #expect(!short.takePlain { _ in true })
        #expect(throws: FrameDecoder.Failure.self) { _ = try short.next() }
        for index in whole.indices {
            for bit in 0..<8 {
                var bytes = whole
                bytes[index] ^= 1 << bit
                var (direct, general) = (Self.decoder(bytes), Self.decoder(bytes))
                var found: PlainPublish?
                guard
                    direct.takePlain({ plain in
                        found = plain
                        return true
                    })
                else { continue }
                let plain = try #require(found)
                guard case .request(plain.correlation, .publish(let messages))? = try general.next() else {
                    Issue.record("bit \(bit) of byte \(index): taken, but no publish")
                    continue
                }
                #expect(messages.count == 1 && messages[0].topic == plain.topic)
                #expect(messages[0].priority == plain.priority && messages[0].body.count == plain.bodyBytes)
            }
        }
        var other = Self.decoder(Frame.request(77, .ping).bytes)
        #expect(!other.takePlain { _ in true })
        var client = FrameDecoder(side: .client, frameBytesMax: 1 << 20)
        client.append(whole)
        #expect(!client.takePlain { _ in true })
    }

    @Test("The confirmation is the response to one accepted publish")
    func isConfirmed() {
        let id = MessageID(rawValue: 0x0102_0304_0506_0708)
        var writer = ByteWriter()
        Frame.encodeConfirmation(of: id, to: 9, into: &writer)
        #expect(writer.bytes == Frame.response(9, .published([.success(PublishReceipt(id: id))])).bytes)
    }
}
