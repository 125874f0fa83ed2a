extension Request {
    static let publishKind: UInt8 = 0x10

    /// The number on the wire, below 0x60. Never reused for another meaning.
    var kind: UInt8 {
        switch self {
        case .hello: 0x01
        case .ping: 0x02
        case .publish: Self.publishKind
        case .commit: 0x11
        case .subscribe: 0x12
        case .credit: 0x13
        case .unsubscribe: 0x14
        case .settle: 0x15
        case .extend: 0x16
        case .pop: 0x17
        case .fetch: 0x18
        case .topicCreate: 0x20
        case .topicSet: 0x21
        case .topicDelete: 0x22
        case .topicList: 0x23
        case .subscriptionCreate: 0x24
        case .subscriptionSet: 0x25
        case .subscriptionDelete: 0x26
        case .status: 0x27
        case .rewind: 0x4C
        case .peek: 0x28
        case .deadList: 0x30
        case .deadRedrive: 0x31
        case .deadPurge: 0x32
        case .cancel: 0x40
        case .reschedule: 0x41
        case .scheduleSet: 0x42
        case .scheduleDelete: 0x43
        case .scheduleList: 0x44
        case .pause: 0x45
        case .resume: 0x46
        case .schedulePause: 0x50
        case .scheduleResume: 0x51
        case .keyList: 0x49
        case .keyRelease: 0x4A
        case .history: 0x4B
        case .deadJobs: 0x33
        case .deadJobCancel: 0x34
        case .browse: 0x47
        case .delete: 0x48
        }
    }

    func encodeFields(into writer: inout ByteWriter) {
        switch self {
        case .hello(let versions, let client, let instance, let heartbeat):
            writer.u8(UInt8(min(versions.count, 255)))
            for version in versions.prefix(255) { writer.u8(version) }
            writer.text(client)
            writer.text(instance)
            writer.u32(heartbeat)
        case .ping, .topicList, .status, .deadJobs: break
        case .publish(let messages): writer.messages(messages)
        case .commit(let publishes, let settlements):
            writer.messages(publishes)
            writer.settlements(settlements)
        case .subscribe(let consumer, let subscription, let credit, let start, let lease, let weight):
            writer.u32(consumer.rawValue)
            writer.subscription(subscription)
            writer.u32(credit)
            writer.start(start)
            writer.i64(lease ?? -1)
            writer.u8(weight)
        case .credit(let consumer, let credit):
            writer.u32(consumer.rawValue)
            writer.u32(credit)
        case .unsubscribe(let consumer): writer.u32(consumer.rawValue)
        case .settle(let settlements): writer.settlements(settlements)
        case .extend(let leases, let milliseconds):
            writer.leases(leases)
            writer.i64(milliseconds)
        case .pop(let subscriptions, let timeout, let acknowledges):
            writer.u32(UInt32(subscriptions.count))
            for subscription in subscriptions { writer.subscription(subscription) }
            writer.i64(timeout)
            writer.u8(acknowledges ? 1 : 0)
        case .fetch(let fetch): writer.fetch(fetch)
        case .cancel, .reschedule, .scheduleSet, .scheduleDelete, .scheduleList, .schedulePause, .scheduleResume,
            .pause,
            .resume:
            encodeTimed(into: &writer)
        default: encodeAdministration(into: &writer)
        }
    }

    private func encodeAdministration(into writer: inout ByteWriter) {
        switch self {
        case .topicCreate(let name, let settings), .topicSet(let name, let settings):
            writer.text(name.text)
            writer.settings(settings)
        case .topicDelete(let name): writer.text(name.text)
        case .subscriptionCreate(let name, let start, let filter):
            writer.subscription(name)
            writer.start(start)
            writer.headers(filter)
        case .subscriptionSet(let name, let settings):
            writer.subscription(name)
            writer.settings(settings)
        case .subscriptionDelete(let name): writer.subscription(name)
        case .rewind(let name, let start):
            writer.subscription(name)
            writer.start(start)
        case .peek(let name, let from, let limit):
            writer.text(name.text)
            writer.u64(from.rawValue)
            writer.u32(limit)
        case .deadList(let name, let from, let limit):
            writer.subscription(name)
            writer.u64(from.rawValue)
            writer.u32(limit)
        case .deadRedrive(let name, let selection, let rate):
            writer.subscription(name)
            writer.selection(selection)
            writer.u32(rate)
        case .deadPurge(let name, let selection):
            writer.subscription(name)
            writer.selection(selection)
        case .deadJobCancel(let job): writer.u64(job)
        case .browse(let name, let query):
            writer.subscription(name)
            writer.query(query)
        case .delete(let name, let ids):
            writer.subscription(name)
            writer.messageIDs(ids)
        case .keyList(let name, let after, let limit, let parkedOnly): writer.keyList(name, after, limit, parkedOnly)
        case .keyRelease(let name, let keys): writer.keyRelease(name, keys)
        case .history(let query, let limit):
            writer.historyQuery(query)
            writer.u32(limit)
        default: preconditionFailure("\(self) is encoded above")
        }
    }

    init(kind: UInt8, reading reader: inout ByteReader) throws(ByteReader.Malformed) {
        switch kind {
        case 0x01:
            var versions: [UInt8] = []
            for _ in 0..<(try reader.u8("version count")) { versions.append(try reader.u8("version")) }
            self = .hello(
                versions: versions, client: try reader.text("client name"), instance: try reader.text("instance"),
                heartbeatMilliseconds: try reader.u32("heartbeat"))
        case 0x02: self = .ping
        case 0x10: self = .publish(try reader.messages())
        case 0x11: self = .commit(publishes: try reader.messages(), settlements: try reader.settlements())
        case 0x12:
            let consumer = ConsumerID(rawValue: try reader.u32("consumer"))
            let subscription = try reader.subscription()
            let credit = try reader.u32("credit")
            let start = try reader.startPosition()
            let lease = try reader.i64("lease")
            self = .subscribe(
                consumer: consumer, subscription: subscription, credit: credit, start: start,
                leaseMilliseconds: lease == -1 ? nil : lease, weight: try reader.weight())
        case 0x13:
            self = .credit(
                consumer: ConsumerID(rawValue: try reader.u32("consumer")), credit: try reader.u32("credit"))
        case 0x14: self = .unsubscribe(consumer: ConsumerID(rawValue: try reader.u32("consumer")))
        case 0x15: self = .settle(try reader.settlements())
        case 0x16: self = .extend(try reader.leases(), milliseconds: try reader.i64("milliseconds"))
        case 0x17:
            var subscriptions: [SubscriptionName] = []
            for _ in 0..<(try reader.count("subscriptions", itemBytes: 3)) {
                subscriptions.append(try reader.subscription())
            }
            self = .pop(
                subscriptions, timeoutMilliseconds: try reader.i64("timeout"),
                acknowledges: try reader.flag("acknowledges"))
        case 0x18: self = .fetch(try reader.fetch())
        default: self = try Self.administration(kind, &reader)
        }
    }

    private static func administration(
        _ kind: UInt8, _ reader: inout ByteReader
    ) throws(ByteReader.Malformed) -> Request {
        switch kind {
        case 0x20: return .topicCreate(try reader.topic(), try reader.topicSettings())
        case 0x21: return .topicSet(try reader.topic(), try reader.topicSettings())
        case 0x22: return .topicDelete(try reader.topic())
        case 0x23: return .topicList
        case 0x24:
            return .subscriptionCreate(
                try reader.subscription(), try reader.startPosition(), filter: try reader.headers())
        case 0x25: return .subscriptionSet(try reader.subscription(), try reader.optionalDeliverySettings())
        case 0x26: return .subscriptionDelete(try reader.subscription())
        case 0x27: return .status
        case 0x4C: return .rewind(try reader.subscription(), try reader.startPosition())
        case 0x28:
            return .peek(
                try reader.topic(), from: MessageID(rawValue: try reader.u64("from")), limit: try reader.u32("limit"))
        case 0x30:
            return .deadList(
                try reader.subscription(), from: MessageID(rawValue: try reader.u64("from")),
                limit: try reader.u32("limit"))
        case 0x31:
            return .deadRedrive(try reader.subscription(), try reader.selection(), rate: try reader.u32("rate"))
        case 0x32: return .deadPurge(try reader.subscription(), try reader.selection())
        case 0x33: return .deadJobs
        case 0x34: return .deadJobCancel(try reader.u64("job"))
        case 0x47: return .browse(try reader.subscription(), try reader.query())
        case 0x48: return .delete(try reader.subscription(), try reader.messageIDs())
        case 0x40...0x46, 0x50...0x51: return try timed(kind, &reader)
        case 0x49: return try reader.keyList()
        case 0x4A: return try reader.keyRelease()
        case 0x4B: return .history(try reader.historyQuery(), limit: try reader.u32("limit"))
        default: throw ByteReader.Malformed(offset: Frame.kindOffset, what: "there is no such request")
        }
    }
}
