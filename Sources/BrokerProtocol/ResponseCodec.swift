extension Response {
    static let publishedKind: UInt8 = 0x83

    /// The number on the wire, from 0x80 on. Never reused for another meaning.
    var kind: UInt8 {
        switch self {
        case .refused: 0x80
        case .hello: 0x81
        case .done: 0x82
        case .published: Self.publishedKind
        case .committed: 0x84
        case .settled: 0x85
        case .popped: 0x86
        case .topics: 0x87
        case .status: 0x88
        case .messages: 0x89
        case .deadLetters: 0x8A
        case .count: 0x8B
        case .fetched: 0x8C
        case .schedules: 0x8D
        case .keys: 0x8F
        case .history: 0x90
        case .browsed: 0x8E
        case .deadJobs: 0x91
        }
    }

    func encodeFields(into writer: inout ByteWriter) {
        switch self {
        case .refused(let error): writer.error(error)
        case .hello(let version, let broker, let identity, let heartbeat, let limits):
            writer.u8(version)
            writer.text(broker)
            writer.u64(identity)
            writer.u32(heartbeat)
            for limit in [
                limits.frameBytesMax, limits.bodyBytesMax, limits.headersBytesMax, limits.leasesPerConnectionMax,
            ] {
                writer.u32(limit)
            }
        case .done: break
        case .published(let results):
            writer.u32(UInt32(results.count))
            for result in results {
                switch result {
                case .success(let receipt): writer.receipt(receipt)
                case .failure(let error):
                    writer.u8(2)
                    writer.error(error)
                }
            }
        case .committed(let receipts):
            writer.u32(UInt32(receipts.count))
            for receipt in receipts { writer.receipt(receipt) }
        case .settled(let results): writer.refusals(results)
        case .popped(let delivery):
            writer.u8(delivery == nil ? 0 : 1)
            if let delivery { writer.delivery(delivery) }
        case .topics(let topics):
            writer.u32(UInt32(topics.count))
            for topic in topics { writer.topic(topic) }
        case .status(let status): writer.status(status)
        case .messages(let messages):
            writer.u32(UInt32(messages.count))
            for message in messages { writer.delivery(message) }
        case .deadLetters(let letters):
            writer.u32(UInt32(letters.count))
            for letter in letters { writer.deadLetter(letter) }
        case .count(let count): writer.u64(count)
        case .fetched(let deliveries): writer.deliveries(deliveries)
        case .schedules(let schedules): writer.schedules(schedules)
        case .keys(let keys):
            writer.u32(UInt32(keys.count))
            for key in keys { writer.keyStatus(key) }
        case .history(let history): writer.history(history)
        case .browsed(let page): writer.page(page)
        case .deadJobs(let jobs): writer.jobs(jobs)
        }
    }

    init(kind: UInt8, reading reader: inout ByteReader) throws(ByteReader.Malformed) {
        switch kind {
        case 0x80: self = .refused(try reader.error())
        case 0x81:
            let version = try reader.u8("version")
            let broker = try reader.text("broker")
            let identity = try reader.u64("identity")
            let heartbeat = try reader.u32("heartbeat")
            var limits = ProtocolLimits()
            limits.frameBytesMax = try reader.u32("frame limit")
            limits.bodyBytesMax = try reader.u32("body limit")
            limits.headersBytesMax = try reader.u32("headers limit")
            limits.leasesPerConnectionMax = try reader.u32("leases limit")
            self = .hello(
                version: version, broker: broker, identity: identity, heartbeatMilliseconds: heartbeat, limits: limits)
        case 0x82: self = .done
        case 0x83:
            var results: [Result<PublishReceipt, BrokerError>] = []
            for _ in 0..<(try reader.count("results", itemBytes: 5)) {
                results.append(try reader.publishResult())
            }
            self = .published(results)
        case 0x84:
            var receipts: [PublishReceipt] = []
            for _ in 0..<(try reader.count("receipts", itemBytes: 9)) {
                let at = reader.offset
                guard case .success(let receipt) = try reader.publishResult() else {
                    throw ByteReader.Malformed(offset: at, what: "a committed publish cannot be refused")
                }
                receipts.append(receipt)
            }
            self = .committed(receipts)
        case 0x85: self = .settled(try reader.refusals())
        case 0x86: self = .popped(try reader.flag("has a delivery") ? try reader.delivery() : nil)
        case 0x87:
            var topics: [TopicStatus] = []
            for _ in 0..<(try reader.count("topics", itemBytes: 31)) { topics.append(try reader.topicStatus()) }
            self = .topics(topics)
        case 0x88: self = .status(try reader.status())
        case 0x89:
            var messages: [Delivery] = []
            for _ in 0..<(try reader.count("messages", itemBytes: 56)) { messages.append(try reader.delivery()) }
            self = .messages(messages)
        case 0x8A:
            var letters: [DeadLetter] = []
            for _ in 0..<(try reader.count("dead letters", itemBytes: ByteReader.deadLetterBytesMin)) {
                letters.append(try reader.deadLetter())
            }
            self = .deadLetters(letters)
        case 0x8B: self = .count(try reader.u64("count"))
        case 0x8C: self = .fetched(try reader.deliveries())
        case 0x8D: self = .schedules(try reader.schedules())
        case 0x8F: self = .keys(try reader.keyStatuses())
        case 0x90: self = .history(try reader.history())
        case 0x8E: self = .browsed(try reader.page())
        case 0x91: self = .deadJobs(try reader.jobs())
        default: throw ByteReader.Malformed(offset: Frame.kindOffset, what: "there is no such response")
        }
    }
}

extension Frame.Push {
    static let deliveriesKind: UInt8 = 0x60

    /// The number on the wire, 0x60 to 0x7E.
    var kind: UInt8 {
        switch self {
        case .deliveries: Self.deliveriesKind
        case .consumerEnded: 0x61
        }
    }

    func encodeFields(into writer: inout ByteWriter) {
        switch self {
        case .deliveries(let deliveries):
            writer.u32(UInt32(deliveries.count))
            for delivery in deliveries { writer.delivery(delivery) }
        case .consumerEnded(let consumer, let error):
            writer.u32(consumer.rawValue)
            writer.u8(error == nil ? 0 : 1)
            if let error { writer.error(error) }
        }
    }

    init(kind: UInt8, reading reader: inout ByteReader) throws(ByteReader.Malformed) {
        switch kind {
        case 0x60:
            var deliveries: [Delivery] = []
            for _ in 0..<(try reader.count("deliveries", itemBytes: 56)) { deliveries.append(try reader.delivery()) }
            self = .deliveries(deliveries)
        case 0x61:
            let consumer = ConsumerID(rawValue: try reader.u32("consumer"))
            self = .consumerEnded(consumer, try reader.flag("has an error") ? try reader.error() : nil)
        default: throw ByteReader.Malformed(offset: Frame.kindOffset, what: "there is no such push")
        }
    }
}
