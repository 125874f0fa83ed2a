/// A publish of one message that has a topic, a priority, headers and a body, and nothing else: nearly every publish.
/// It is read where it stands in its frame, so that nothing is copied or made on its way to the log.
package struct PlainPublish: Sendable {
    package let correlation: UInt32
    package let topic: TopicName
    package let priority: UInt8
    package let headerCount: Int
    /// Of the headers' keys and values.
    package let headerTextBytes: Int
    package let bodyBytes: Int
    /// Of the frame, and of others perhaps.
    package let bytes: [UInt8]
    /// Where headers and body stand in `bytes`, as ``ByteWriter/headers(_:)`` and ``ByteWriter/blob(_:)`` write them.
    package let content: Range<Int>

    /// Nil when the frame is something else, or malformed.
    /// - Parameter reader: At the correlation of a publish's frame, which ends what it reads.
    init?(reading reader: inout ByteReader, _ topics: inout TopicCache) {
        do throws(ByteReader.Malformed) {
            correlation = try reader.u32("correlation")
            guard try reader.u32("messages") == 1 else { return nil }
            topic = try reader.topic(&topics)
            priority = try reader.u8("priority")
            guard try reader.u8("message flags") == 0 else { return nil }
            let start = reader.position
            headerCount = try reader.count("headers", itemBytes: 4)
            var textBytes = 0
            for _ in 0..<headerCount {
                textBytes += try reader.skipText("header key") + reader.skipText("header value")
            }
            headerTextBytes = textBytes
            bodyBytes = Int(try reader.u32("body"))
            _ = try reader.take(bodyBytes, "body")
            guard reader.remaining == 0 else { return nil }
            bytes = reader.bytes
            content = start..<reader.position
        } catch {
            return nil
        }
    }
}

extension ByteReader {
    /// - Returns: How many bytes the text has.
    fileprivate mutating func skipText(_ what: String) throws(Malformed) -> Int {
        let count = Int(try u16(what))
        let at = try take(count, what)
        if (try? UTF8Span(validating: bytes.span.extracting(at..<at + count))) == nil {
            throw Malformed(offset: at - start, what: "\(what) is not UTF-8")
        }
        return count
    }
}

extension FrameDecoder {
    /// Takes the next frame when it is a whole ``PlainPublish`` and `accept` does; else it is left to ``next()``.
    package mutating func takePlain(_ accept: (PlainPublish) -> Bool) -> Bool {
        guard side == .broker, let frame = wholeFrame(ofKind: Request.publishKind) else { return false }
        var reader = ByteReader(buffer, frame.lowerBound + Frame.correlationOffset..<frame.upperBound)
        guard let plain = PlainPublish(reading: &reader, &topics), accept(plain) else { return false }
        start = frame.upperBound
        return true
    }
}

extension Frame {
    /// Adds the answer to a publish of one message that was accepted.
    package static func encodeConfirmation(
        of id: MessageID, to correlation: UInt32, into writer: inout ByteWriter
    ) {
        writer.bytes.append(addingCapacity: headerBytes + 13) { room in
            room.append(bigEndian: UInt32(headerBytes + 13 - lengthBytes))
            room.append(version)
            room.append(Response.publishedKind)
            room.append(0)
            room.append(0)
            room.append(bigEndian: correlation)
            room.append(bigEndian: 1 as UInt32)
            room.append(0)
            room.append(bigEndian: id.rawValue)
        }
    }
}
