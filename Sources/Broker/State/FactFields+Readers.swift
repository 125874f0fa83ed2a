import BrokerProtocol

/// Fields of the facts about who reads what.
extension ByteWriter {
    mutating func reading(_ reading: Reading?) {
        u8(reading == nil ? 0 : 1)
        guard let reading else { return }
        u64(reading.next.rawValue)
        u64(reading.through.rawValue)
        optionalTime(reading.since)
    }

    mutating func pattern(_ id: SubscriptionID, _ name: SubscriptionName) {
        u32(id.rawValue)
        text(name.topic.text)
        text(name.name)
    }

    mutating func member(_ id: SubscriptionID, _ topic: TopicID, _ pattern: SubscriptionID, _ from: StartPosition) {
        u32(id.rawValue)
        u32(topic.rawValue)
        u32(pattern.rawValue)
        start(from)
    }
}

extension ByteReader {
    mutating func reading() throws(Malformed) -> Reading? {
        guard try flag("has a rest") else { return nil }
        return Reading(next: try messageID(), through: try messageID(), since: try optionalTime("since"))
    }
}

extension Fact {
    static func patternDefined(reading reader: inout ByteReader) throws(FactCodec.Malformed) -> Fact {
        let id = try reader.subscriptionID()
        let topic = try reader.topic()
        let at = reader.offset
        let name = try reader.text("subscription name")
        guard TopicName(name) != nil else { throw FactCodec.Malformed(offset: at, what: "no subscription's name") }
        return .patternDefined(id, SubscriptionName(topic: topic, name: name))
    }

    static func memberDefined(reading reader: inout ByteReader) throws(FactCodec.Malformed) -> Fact {
        .memberDefined(
            try reader.subscriptionID(), try reader.topicID(), of: try reader.subscriptionID(),
            start: try reader.startPosition())
    }
}
