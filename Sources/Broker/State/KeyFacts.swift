import BrokerProtocol

/// Facts about ordering keys as bytes.
extension ByteWriter {
    mutating func keyParked(_ subscription: SubscriptionID, _ key: String, _ message: MessageID) {
        u32(subscription.rawValue)
        text(key)
        u64(message.rawValue)
    }

    mutating func keyReleased(_ subscription: SubscriptionID, _ keys: [String]) {
        u32(subscription.rawValue)
        u32(UInt32(keys.count))
        for key in keys { text(key) }
    }
}

extension ByteReader {
    mutating func keys() throws(Malformed) -> [String] {
        var keys: [String] = []
        for _ in 0..<(try count("keys", itemBytes: 2)) { keys.append(try text("key")) }
        return keys
    }
}

extension Fact {
    static func keyParked(reading reader: inout ByteReader) throws(FactCodec.Malformed) -> Fact {
        .keyParked(try reader.subscriptionID(), key: try reader.text("key"), try reader.messageID())
    }
}
