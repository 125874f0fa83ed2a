/// Fields that several frames share. docs/PROTOCOL.md draws each under the same name.
extension ByteWriter {
    /// Both parts are short: see ``TopicName``.
    mutating func subscription(_ name: SubscriptionName) {
        u16(UInt16(name.topic.text.utf8.count + 1 + name.name.utf8.count))
        bytes.append(contentsOf: name.topic.text.utf8)
        u8(UInt8(ascii: "@"))
        bytes.append(contentsOf: name.name.utf8)
    }

    package mutating func start(_ start: StartPosition) {
        switch start {
        case .beginning: startFields(0, 0)
        case .now: startFields(1, 0)
        case .time(let time): startFields(2, UInt64(bitPattern: time.milliseconds))
        case .message(let id): startFields(3, id.rawValue)
        }
    }

    private mutating func startFields(_ kind: UInt8, _ value: UInt64) {
        u8(kind)
        u64(value)
    }

    package mutating func headers(_ headers: [Header]) {
        u32(UInt32(headers.count))
        for header in headers {
            text(header.key)
            text(header.value)
        }
    }

    mutating func messages(_ messages: [OutgoingMessage]) {
        u32(UInt32(messages.count))
        for message in messages {
            text(message.topic.text)
            u8(message.priority)
            u8(
                (message.orderingKey == nil ? 0 : 1) | (message.deliverAt == nil ? 0 : 2)
                    | (message.expiresAt == nil ? 0 : 4) | (message.dedupID == nil ? 0 : 8)
                    | (message.delayMilliseconds == nil ? 0 : 16))
            if let key = message.orderingKey { text(key) }
            if let time = message.deliverAt { i64(time.milliseconds) }
            if let time = message.expiresAt { i64(time.milliseconds) }
            if let id = message.dedupID { text(id) }
            if let delay = message.delayMilliseconds { i64(delay) }
            headers(message.headers)
            blob(message.body)
        }
    }

    /// Runs of leases that follow each other and share a verdict: first lease, count, verdict.
    mutating func settlements(_ settlements: [Settlement]) {
        let runs = settlements.runs { left, right, distance in
            right.verdict == left.verdict && right.lease.rawValue == left.lease.rawValue &+ distance
        }
        u32(UInt32(runs.count))
        for (settlement, count) in runs {
            u64(settlement.lease.rawValue)
            u32(count)
            switch settlement.verdict {
            case .ack: u8(0)
            case .fail(let error, let after):
                u8(1)
                i64(after ?? -1)
                text(error)
            case .release(let after):
                u8(2)
                i64(after ?? -1)
            case .reject(let reason):
                u8(3)
                text(reason)
            }
        }
    }

    mutating func leases(_ leases: [LeaseID]) {
        let runs = leases.runs { left, right, distance in right.rawValue == left.rawValue &+ distance }
        u32(UInt32(runs.count))
        for (lease, count) in runs {
            u64(lease.rawValue)
            u32(count)
        }
    }

    mutating func error(_ error: BrokerError) {
        u16(error.code.rawValue)
        text(error.message)
    }

    mutating func receipt(_ receipt: PublishReceipt) {
        u8(receipt.isDuplicate ? 1 : receipt.isUnwanted ? 3 : 0)
        u64(receipt.id.rawValue)
    }

    /// How many items, how many of them refused, then index and error of each refused one.
    mutating func refusals(_ results: [BrokerError?]) {
        u32(UInt32(results.count))
        let refused = results.indices.filter { results[$0] != nil }
        u32(UInt32(refused.count))
        for index in refused {
            u32(UInt32(index))
            if let refusal = results[index] { error(refusal) }
        }
    }

    package mutating func optionalText(_ value: String?) {
        u8(value == nil ? 0 : 1)
        if let value { text(value) }
    }

    /// All but headers and body.
    mutating func deliveryHead(_ delivery: Delivery) {
        // In one piece: it is checked once that there is room.
        bytes.append(addingCapacity: 28) { room in
            room.append(bigEndian: delivery.consumer.rawValue)
            room.append(bigEndian: delivery.lease.rawValue)
            room.append(bigEndian: UInt64(bitPattern: delivery.leaseMilliseconds))
            room.append(bigEndian: delivery.id.rawValue)
        }
        subscription(delivery.subscription)
        bytes.append(addingCapacity: 20) { room in
            room.append(bigEndian: delivery.attempt)
            room.append(bigEndian: delivery.deliveries)
            room.append(bigEndian: UInt64(bitPattern: delivery.publishedAt.milliseconds))
            room.append(bigEndian: delivery.redrives)
        }
        optionalText(delivery.lastError)
        u8(delivery.priority)
        optionalText(delivery.orderingKey)
    }

    /// - Parameter content: Headers and body as they are written here; those of `delivery` do not count.
    package mutating func delivery(_ delivery: Delivery, content: ArraySlice<UInt8>) {
        deliveryHead(delivery)
        bytes.append(contentsOf: content)
    }

    mutating func delivery(_ delivery: Delivery) {
        deliveryHead(delivery)
        headers(delivery.headers)
        blob(delivery.body)
    }

    package mutating func settings(_ settings: TopicSettings) { entries(settings.changes) }

    package mutating func settings(_ settings: DeliverySettings?) {
        u8(settings == nil ? 0 : 1)
        if let settings { entries(settings.changes) }
    }

    private mutating func entries(_ entries: [(key: String, value: String)]) {
        u32(UInt32(entries.count))
        for entry in entries {
            text(entry.key)
            text(entry.value)
        }
    }

    mutating func topic(_ topic: TopicStatus) {
        text(topic.name.text)
        settings(topic.settings)
        u64(topic.messages)
        u64(topic.published)
        figures(topic.figures)
        u32(UInt32(topic.subscriptions.count))
        for status in topic.subscriptions {
            subscription(status.name)
            settings(status.settings)
            u32(status.consumers)
            for count in [
                status.ready, status.delayed, status.leased, status.dead, status.delivered, status.acknowledged,
            ] {
                u64(count)
            }
            figures(status.figures)
            headers(status.filter)
        }
    }

    private mutating func figures(_ figures: [Figure]) {
        u32(UInt32(figures.count))
        for figure in figures {
            text(figure.name)
            i64(figure.value)
        }
    }

    mutating func status(_ status: BrokerStatus) {
        text(status.version)
        u32(status.epoch)
        i64(status.uptimeMilliseconds)
        u32(status.connections)
        u32(status.topics)
        for count in [
            status.messages, status.ready, status.delayed, status.leased, status.dead, status.published,
            status.delivered, status.acknowledged, status.logSegments, status.logFreeBytes,
        ] {
            u64(count)
        }
        figures(status.figures)
    }
}

extension Array {
    /// The first element of each run and the run's length; `follows` is given the first element, a later one, and
    /// their distance.
    fileprivate func runs(where follows: (Element, Element, UInt64) -> Bool) -> [(Element, UInt32)] {
        var runs: [(Element, UInt32)] = []
        for element in self {
            if let (first, count) = runs.last, follows(first, element, UInt64(count)) {
                runs[runs.count - 1].1 += 1
            } else {
                runs.append((element, 1))
            }
        }
        return runs
    }
}
