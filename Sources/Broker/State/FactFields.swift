import BrokerProtocol

/// Fields that several facts share.
extension ByteWriter {
    mutating func message(_ message: PublishedMessage) {
        u64(message.id.rawValue)
        u32(message.topic.rawValue)
        i64(message.publishedAt.milliseconds)
        u8(message.priority)
        optionalText(message.orderingKey)
        optionalTime(message.deliverAt)
        optionalTime(message.expiresAt)
        optionalText(message.dedupID)
        headers(message.headers)
        blob(message.body)
    }

    mutating func slot(_ slot: SlotRecord) {
        u32(slot.subscription.rawValue)
        u32(slot.attempts)
        u32(slot.deliveries)
        u16(slot.deaths)
        u16(slot.redrives)
        optionalText(slot.lastError)
        optionalText(slot.lastConsumer)
        u32(UInt32(slot.failedAt.count))
        for time in slot.failedAt { i64(time.milliseconds) }
        optionalTime(slot.readyAt)
        grave(slot.grave)
    }

    mutating func optionalTime(_ time: WallTime?) {
        u8(time == nil ? 0 : 1)
        if let time { i64(time.milliseconds) }
    }

    /// Ids as ranges: first id, count.
    mutating func ranges(_ messages: [MessageID]) {
        let countAt = bytes.count
        u32(0)
        var rangeCount: UInt32 = 0
        var index = 0
        while index < messages.count {
            var length = 1
            while index + length < messages.count,
                messages[index + length].rawValue == messages[index].rawValue + UInt64(length)
            {
                length += 1
            }
            u64(messages[index].rawValue)
            u32(UInt32(length))
            rangeCount += 1
            index += length
        }
        patch(rangeCount, at: countAt)
    }
}

extension ByteReader {
    // The highest number of each kind is no id: one more must exist for the next one.

    /// How many messages the ranges of one fact may name in sum; above what is ever written, and little to hold.
    private static let messagesPerFactMax = 1 << 16

    mutating func subscriptionID() throws(Malformed) -> SubscriptionID {
        let at = offset
        let number = try u32("subscription id")
        guard number < .max else { throw Malformed(offset: at, what: "subscription id \(number)") }
        return SubscriptionID(rawValue: number)
    }

    mutating func topicID() throws(Malformed) -> TopicID {
        let at = offset
        let number = try u32("topic id")
        guard number < .max else { throw Malformed(offset: at, what: "topic id \(number)") }
        return TopicID(rawValue: number)
    }

    mutating func messageID() throws(Malformed) -> MessageID {
        let at = offset
        let number = try u64("message id")
        guard number <= OrderedIDs.idMax else { throw Malformed(offset: at, what: "message id \(number)") }
        return MessageID(rawValue: number)
    }

    mutating func time(_ what: String) throws(Malformed) -> WallTime { WallTime(milliseconds: try i64(what)) }

    mutating func optionalTime(_ what: String) throws(Malformed) -> WallTime? {
        try flag("has \(what)") ? try time(what) : nil
    }

    mutating func message() throws(Malformed) -> PublishedMessage {
        var message = try messageHead()
        message.headers = try headers()
        message.body = try blob("body")
        return message
    }

    /// Without headers and body, which follow.
    mutating func messageHead() throws(Malformed) -> PublishedMessage {
        let id = try messageID()
        let topic = try topicID()
        let publishedAt = try time("published at")
        let at = offset
        let priority = try u8("priority")
        guard priority < Topic.priorities else { throw Malformed(offset: at, what: "priority \(priority)") }
        return PublishedMessage(
            id: id, topic: topic, publishedAt: publishedAt, priority: priority,
            orderingKey: try optionalText("ordering key"),
            deliverAt: try optionalTime("deliver-at"), expiresAt: try optionalTime("expires-at"),
            dedupID: try optionalText("dedup id"), headers: [], body: [])
    }

    mutating func slot() throws(Malformed) -> SlotRecord {
        SlotRecord(
            subscription: try subscriptionID(), attempts: try u32("attempts"), deliveries: try u32("deliveries"),
            deaths: try u16("deaths"), redrives: try u16("redrives"), lastError: try optionalText("last error"),
            lastConsumer: try optionalText("last consumer"), failedAt: try times("failed at"),
            readyAt: try optionalTime("ready at"), grave: try grave())
    }

    mutating func ranges() throws(Malformed) -> [MessageID] {
        var messages: [MessageID] = []
        for _ in 0..<(try count("ranges", itemBytes: 12)) {
            let at = offset
            let first = try u64("first message")
            let count = try u32("message count")
            guard messages.count + Int(count) <= Self.messagesPerFactMax,
                !first.addingReportingOverflow(UInt64(count)).overflow
            else { throw Malformed(offset: at, what: "a range of \(count) messages") }
            for step in 0..<UInt64(count) { messages.append(MessageID(rawValue: first + step)) }
        }
        return messages
    }
}
