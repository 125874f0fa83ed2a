/// Fields that several frames share, as ``ByteWriter`` wrote them. Total, as the reader itself.
extension ByteReader {
    /// How many leases the runs of one frame may name in sum: a short frame must not ask for endless work.
    static let leasesPerFrameMax = 10_000

    package mutating func topic() throws(Malformed) -> TopicName {
        let at = offset
        guard let name = TopicName(try text("topic")) else {
            throw Malformed(offset: at, what: "a topic is 1 to 255 bytes of printable UTF-8 without space and @")
        }
        return name
    }

    mutating func subscription() throws(Malformed) -> SubscriptionName {
        let at = offset
        guard let name = SubscriptionName(try text("subscription")) else {
            throw Malformed(offset: at, what: "a subscription is topic@name or a topic")
        }
        return name
    }

    package mutating func startPosition() throws(Malformed) -> StartPosition {
        let at = offset
        let kind = try u8("start")
        let value = try u64("start value")
        switch kind {
        case 0: return .beginning
        case 1: return .now
        case 2: return .time(WallTime(milliseconds: Int64(bitPattern: value)))
        case 3: return .message(MessageID(rawValue: value))
        default: throw Malformed(offset: at, what: "start is 0 to 3, not \(kind)")
        }
    }

    package mutating func headers() throws(Malformed) -> [Header] {
        var headers: [Header] = []
        for _ in 0..<(try count("headers", itemBytes: 4)) {
            headers.append(Header(try text("header key"), try text("header value")))
        }
        return headers
    }

    /// Both are as ``ByteWriter`` wrote them, and only copied.
    package mutating func skipHeadersAndBody() throws(Malformed) {
        for _ in 0..<(try count("headers", itemBytes: 4)) {
            _ = try take(Int(try u16("header key")), "header key")
            _ = try take(Int(try u16("header value")), "header value")
        }
        _ = try take(Int(try u32("body")), "body")
    }

    mutating func messages() throws(Malformed) -> [OutgoingMessage] {
        var cache = TopicCache()
        return try messages(&cache)
    }

    mutating func messages(_ cache: inout TopicCache) throws(Malformed) -> [OutgoingMessage] {
        var messages: [OutgoingMessage] = []
        let count = try count("messages", itemBytes: 13)
        messages.reserveCapacity(min(count, 1024))
        for _ in 0..<count {
            let topic = try topic(&cache)
            let priority = try u8("priority")
            let at = offset
            let flags = try u8("message flags")
            guard flags < 32 else { throw Malformed(offset: at, what: "message flags \(flags) are unknown") }
            let key = flags & 1 != 0 ? try text("ordering key") : nil
            let deliverAt = flags & 2 != 0 ? WallTime(milliseconds: try i64("deliver-at")) : nil
            let expiresAt = flags & 4 != 0 ? WallTime(milliseconds: try i64("expires-at")) : nil
            let dedupID = flags & 8 != 0 ? try text("dedup id") : nil
            let delay = flags & 16 != 0 ? try delay() : nil
            let headers = try headers()
            messages.append(
                OutgoingMessage(
                    topic: topic, body: try blob("body"), headers: headers, priority: priority, orderingKey: key,
                    deliverAt: deliverAt, expiresAt: expiresAt, dedupID: dedupID, delayMilliseconds: delay))
        }
        return messages
    }

    private mutating func delay() throws(Malformed) -> Int64 {
        let at = offset
        let delay = try i64("delay")
        guard delay >= 0 else { throw Malformed(offset: at, what: "a delay is 0 or more milliseconds, not \(delay)") }
        return delay
    }

    /// Expands a run of leases, within what is left of the frame's allowance.
    private mutating func run(_ allowance: inout Int) throws(Malformed) -> Range<UInt64> {
        let at = offset
        let first = try u64("first lease")
        let count = try u32("lease count")
        let (end, overflow) = first.addingReportingOverflow(UInt64(count))
        allowance -= Int(count)
        guard count > 0, !overflow, allowance >= 0 else {
            throw Malformed(
                offset: at, what: "a run has 1 lease or more, a frame \(Self.leasesPerFrameMax) in all")
        }
        return first..<end
    }

    mutating func settlements() throws(Malformed) -> [Settlement] {
        var settlements: [Settlement] = []
        var allowance = Self.leasesPerFrameMax
        for _ in 0..<(try count("settlement runs", itemBytes: 13)) {
            let leases = try run(&allowance)
            let verdict = try verdict()
            for lease in leases { settlements.append(Settlement(LeaseID(rawValue: lease), verdict)) }
        }
        return settlements
    }

    private mutating func verdict() throws(Malformed) -> Verdict {
        let at = offset
        switch try u8("verdict") {
        case 0: return .ack
        case 1:
            let after = try after()
            return .fail(error: try text("error"), afterMilliseconds: after)
        case 2: return .release(afterMilliseconds: try after())
        case 3: return .reject(reason: try text("reason"))
        case let other: throw Malformed(offset: at, what: "a verdict is 0 to 3, not \(other)")
        }
    }

    private mutating func after() throws(Malformed) -> Int64? {
        let at = offset
        let after = try i64("after")
        guard after >= -1 else { throw Malformed(offset: at, what: "after is -1 or a number of milliseconds") }
        return after == -1 ? nil : after
    }

    mutating func leases() throws(Malformed) -> [LeaseID] {
        var leases: [LeaseID] = []
        var allowance = Self.leasesPerFrameMax
        for _ in 0..<(try count("lease runs", itemBytes: 12)) {
            for lease in try run(&allowance) { leases.append(LeaseID(rawValue: lease)) }
        }
        return leases
    }

    mutating func messageIDs() throws(Malformed) -> [MessageID] {
        var ids: [MessageID] = []
        for _ in 0..<(try count("message ids", itemBytes: 8)) { ids.append(MessageID(rawValue: try u64("message id"))) }
        return ids
    }

    /// A code from a newer broker reads as `UNSUPPORTED`, with its number in the text.
    mutating func error() throws(Malformed) -> BrokerError {
        let number = try u16("error code")
        let message = try text("error text")
        guard let code = BrokerError.Code(rawValue: number) else {
            return BrokerError(.unsupported, "error \(number): \(message)")
        }
        return BrokerError(code, message)
    }

    mutating func publishResult() throws(Malformed) -> Result<PublishReceipt, BrokerError> {
        let at = offset
        switch try u8("result") {
        case 0: return .success(PublishReceipt(id: MessageID(rawValue: try u64("message id"))))
        case 1: return .success(PublishReceipt(id: MessageID(rawValue: try u64("message id")), isDuplicate: true))
        case 2: return .failure(try error())
        case 3: return .success(PublishReceipt(id: MessageID(rawValue: try u64("message id")), isUnwanted: true))
        case let other: throw Malformed(offset: at, what: "a result is 0 to 3, not \(other)")
        }
    }

    mutating func refusals() throws(Malformed) -> [BrokerError?] {
        let at = offset
        let items = Int(try u32("items"))
        guard items <= Self.leasesPerFrameMax else { throw Malformed(offset: at, what: "\(items) items are too many") }
        var results = [BrokerError?](repeating: nil, count: items)
        for _ in 0..<(try count("refusals", itemBytes: 8)) {
            let at = offset
            let index = Int(try u32("index"))
            guard index < items else { throw Malformed(offset: at, what: "index \(index) of \(items) items") }
            results[index] = try error()
        }
        return results
    }

    package mutating func optionalText(_ what: String) throws(Malformed) -> String? {
        try flag("has \(what)") ? try text(what) : nil
    }

    mutating func delivery() throws(Malformed) -> Delivery {
        Delivery(
            consumer: ConsumerID(rawValue: try u32("consumer")), lease: LeaseID(rawValue: try u64("lease")),
            leaseMilliseconds: try i64("lease milliseconds"), id: MessageID(rawValue: try u64("message id")),
            subscription: try subscription(), attempt: try u32("attempt"), deliveries: try u32("deliveries"),
            publishedAt: WallTime(milliseconds: try i64("published at")), redrives: try u32("redrives"),
            lastError: try optionalText("last error"), priority: try u8("priority"),
            orderingKey: try optionalText("ordering key"), headers: try headers(), body: try blob("body"))
    }

    /// What this version does not know, or cannot read, is kept to be refused by `validate()`.
    package mutating func topicSettings() throws(Malformed) -> TopicSettings {
        var settings = TopicSettings()
        for _ in 0..<(try count("settings", itemBytes: 4)) {
            settings.take(try text("setting"), try text("setting's value"))
        }
        return settings
    }

    package mutating func optionalDeliverySettings() throws(Malformed) -> DeliverySettings? {
        guard try flag("has settings") else { return nil }
        var settings = DeliverySettings()
        for _ in 0..<(try count("settings", itemBytes: 4)) {
            settings.take(try text("setting"), try text("setting's value"))
        }
        return settings
    }

    mutating func topicStatus() throws(Malformed) -> TopicStatus {
        var topic = TopicStatus(name: try topic(), settings: try topicSettings())
        topic.messages = try u64("messages")
        topic.published = try u64("published")
        topic.figures = try figures()
        for _ in 0..<(try count("subscriptions", itemBytes: 64)) {
            var status = SubscriptionStatus(name: try subscription())
            status.settings = try optionalDeliverySettings()
            status.consumers = try u32("consumers")
            status.ready = try u64("ready")
            status.delayed = try u64("delayed")
            status.leased = try u64("leased")
            status.dead = try u64("dead")
            status.delivered = try u64("delivered")
            status.acknowledged = try u64("acknowledged")
            status.figures = try figures()
            status.filter = try headers()
            topic.subscriptions.append(status)
        }
        return topic
    }

    private mutating func figures() throws(Malformed) -> [Figure] {
        var figures: [Figure] = []
        for _ in 0..<(try count("figures", itemBytes: 10)) {
            figures.append(Figure(try text("figure"), try i64("figure's value")))
        }
        return figures
    }

    mutating func status() throws(Malformed) -> BrokerStatus {
        var status = BrokerStatus()
        status.version = try text("version")
        status.epoch = try u32("epoch")
        status.uptimeMilliseconds = try i64("uptime")
        status.connections = try u32("connections")
        status.topics = try u32("topics")
        status.messages = try u64("messages")
        status.ready = try u64("ready")
        status.delayed = try u64("delayed")
        status.leased = try u64("leased")
        status.dead = try u64("dead")
        status.published = try u64("published")
        status.delivered = try u64("delivered")
        status.acknowledged = try u64("acknowledged")
        status.logSegments = try u64("log segments")
        status.logFreeBytes = try u64("log free bytes")
        status.figures = try figures()
        return status
    }
}
