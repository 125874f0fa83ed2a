import BrokerProtocol

/// Facts as bytes: what stands in a log record's payload. Little endian; docs/LOG-FORMAT.md draws it.
///
/// A record is a list of facts without a count: it ends where the payload ends.
enum FactCodec {
    /// A payload that its checksum covers but this version cannot read.
    struct Malformed: Error, Equatable { let offset: Int }

    /// - Returns: The payload, and the offset of each fact in it.
    static func encode(_ facts: [Fact]) -> ([UInt8], [Int]) {
        var writer = FactWriter()
        var offsets: [Int] = []
        for fact in facts {
            offsets.append(writer.bytes.count)
            encode(fact, &writer)
        }
        return (writer.bytes, offsets)
    }

    static func decode(_ payload: [UInt8]) throws(Malformed) -> [(fact: Fact, offset: Int)] {
        var reader = FactReader(payload, from: 0)
        var facts: [(fact: Fact, offset: Int)] = []
        while !reader.isAtEnd {
            let offset = reader.offset
            facts.append((try decodeOne(&reader), offset))
        }
        return facts
    }

    /// The message that a `published` or `restated` fact at this offset carries.
    static func message(in payload: [UInt8], at offset: Int) throws(Malformed) -> PublishedMessage {
        guard (0..<payload.count).contains(offset) else { throw Malformed(offset: offset) }
        var reader = FactReader(payload, from: offset)
        switch try decodeOne(&reader) {
        case .published(let message), .restated(let message, _): return message
        default: throw Malformed(offset: offset)
        }
    }

    private static func encode(_ fact: Fact, _ writer: inout FactWriter) {
        switch fact {
        case .topicDefined(let id, let name, let settings):
            writer.kind(1, id.rawValue)
            writer.string(name.text)
            encode(settings, &writer)
        case .topicDeleted(let id): writer.kind(2, id.rawValue)
        case .subscriptionDefined(let id, let topic, let name, let start, let renames):
            writer.kind(3, id.rawValue)
            writer.u32(topic.rawValue)
            writer.string(name)
            encode(start, &writer)
            writer.u8(renames ? 1 : 0)
        case .subscriptionDeleted(let id): writer.kind(4, id.rawValue)
        case .subscriptionSet(let id, let settings):
            writer.kind(15, id.rawValue)
            writer.u8(settings == nil ? 0 : 1)
            if let settings { encode(settings, &writer) }
        case .published(let message):
            writer.kind(5, message.topic.rawValue)
            encode(message, &writer)
        case .acknowledged(let id, let messages): encode(6, id, messages, &writer)
        case .attempted(let id, let messages): encode(7, id, messages, &writer)
        case .returned(let id, let message, let readyAt, let countsAttempt, let isDeath, let error):
            writer.kind(8, id.rawValue)
            writer.u64(message.rawValue)
            writer.i64(readyAt.milliseconds)
            writer.u8((countsAttempt ? 1 : 0) | (isDeath ? 2 : 0))
            writer.optional(error)
        case .died(let id, let message, let reason, let error, let isDeath, let at):
            writer.kind(9, id.rawValue)
            writer.u64(message.rawValue)
            writer.string(reason)
            writer.optional(error)
            writer.u8(isDeath ? 1 : 0)
            writer.i64(at.milliseconds)
        case .redriven(let id, let messages): encode(10, id, messages, &writer)
        case .purged(let id, let messages): encode(11, id, messages, &writer)
        case .restated(let message, let slots):
            writer.kind(12, message.topic.rawValue)
            encode(message, &writer)
            writer.u32(UInt32(slots.count))
            for slot in slots { encode(slot, &writer) }
        case .deduplicated(let topic, let entries):
            writer.kind(13, topic.rawValue)
            writer.u32(UInt32(entries.count))
            for entry in entries {
                writer.string(entry.dedupID)
                writer.u64(entry.message.rawValue)
                writer.i64(entry.until.milliseconds)
            }
        case .counted(let message, let topic, let subscription):
            writer.kind(14, topic.rawValue)
            writer.u64(message.rawValue)
            writer.u32(subscription.rawValue)
        }
    }

    private static func encode(_ start: StartPosition, _ writer: inout FactWriter) {
        switch start {
        case .beginning: writer.kindAndValue(0, 0)
        case .now: writer.kindAndValue(1, 0)
        case .time(let time): writer.kindAndValue(2, UInt64(bitPattern: time.milliseconds))
        case .message(let id): writer.kindAndValue(3, id.rawValue)
        }
    }

    private static func startPosition(_ reader: inout FactReader) throws(Malformed) -> StartPosition {
        let at = reader.offset
        let kind = try reader.u8()
        let value = try reader.u64()
        switch kind {
        case 0: return .beginning
        case 1: return .now
        case 2: return .time(WallTime(milliseconds: Int64(bitPattern: value)))
        case 3: return .message(MessageID(rawValue: value))
        default: throw Malformed(offset: at)
        }
    }

    private static func encode(_ settings: TopicSettings, _ writer: inout FactWriter) {
        writer.u64(settings.messagesMax)
        writer.i64(settings.dedupWindowMilliseconds)
        encode(settings.delivery, &writer)
    }

    private static func encode(_ settings: DeliverySettings, _ writer: inout FactWriter) {
        writer.u32(settings.attemptsMax)
        writer.i64(settings.leaseMilliseconds)
        writer.i64(settings.leaseTotalMilliseconds)
        writer.i64(settings.backoffBaseMilliseconds)
        writer.i64(settings.backoffCapMilliseconds)
        writer.u32(settings.poisonDeathsMax)
    }

    private static func encode(_ message: PublishedMessage, _ writer: inout FactWriter) {
        writer.u64(message.id.rawValue)
        writer.i64(message.publishedAt.milliseconds)
        writer.u8(message.priority)
        writer.i64(message.deliverAt?.milliseconds ?? .min)
        writer.i64(message.expiresAt?.milliseconds ?? .min)
        writer.optional(message.dedupID)
        writer.u32(UInt32(message.headers.count))
        for header in message.headers {
            writer.string(header.key)
            writer.string(header.value)
        }
        writer.u32(UInt32(message.body.count))
        writer.bytes.append(contentsOf: message.body)
    }

    private static func encode(_ slot: SlotRecord, _ writer: inout FactWriter) {
        writer.u32(slot.subscription.rawValue)
        writer.u32(slot.attempts)
        writer.u32(slot.deaths)
        writer.u32(slot.redrives)
        writer.optional(slot.lastError)
        writer.i64(slot.readyAt?.milliseconds ?? .min)
        writer.optional(slot.deathReason)
        writer.i64(slot.deadAt.milliseconds)
    }

    /// Ids as ranges: first id, count.
    private static func encode(
        _ kind: UInt8, _ id: SubscriptionID, _ messages: [MessageID], _ writer: inout FactWriter
    ) {
        var ranges: [(first: UInt64, count: UInt32)] = []
        for message in messages {
            if let last = ranges.last, last.first + UInt64(last.count) == message.rawValue {
                ranges[ranges.count - 1].count += 1
            } else {
                ranges.append((message.rawValue, 1))
            }
        }
        writer.kind(kind, id.rawValue)
        writer.u32(UInt32(ranges.count))
        for range in ranges {
            writer.u64(range.first)
            writer.u32(range.count)
        }
    }

    private static func decodeOne(_ reader: inout FactReader) throws(Malformed) -> Fact {
        let start = reader.offset
        let kind = try reader.u8()
        let number = try reader.u32()
        let subscription = SubscriptionID(rawValue: number)
        switch kind {
        case 1:
            guard let name = TopicName(try reader.string()) else { throw Malformed(offset: start) }
            return .topicDefined(TopicID(rawValue: number), name, try topicSettings(&reader))
        case 2: return .topicDeleted(TopicID(rawValue: number))
        case 3:
            let topic = TopicID(rawValue: try reader.u32())
            let name = try reader.string()
            guard TopicName(name) != nil else { throw Malformed(offset: start) }
            let start = try startPosition(&reader)
            return .subscriptionDefined(subscription, topic, name: name, start: start, renames: try reader.u8() == 1)
        case 4: return .subscriptionDeleted(subscription)
        case 5: return .published(try message(&reader, TopicID(rawValue: number)))
        case 6: return .acknowledged(subscription, try messages(&reader))
        case 7: return .attempted(subscription, try messages(&reader))
        case 8:
            let message = MessageID(rawValue: try reader.u64())
            let readyAt = WallTime(milliseconds: try reader.i64())
            let flags = try reader.u8()
            return .returned(
                subscription, message, readyAt: readyAt, countsAttempt: flags & 1 != 0, isDeath: flags & 2 != 0,
                error: try reader.optional())
        case 9:
            let message = MessageID(rawValue: try reader.u64())
            let reason = try reader.string()
            let error = try reader.optional()
            let isDeath = try reader.u8() == 1
            let at = WallTime(milliseconds: try reader.i64())
            return .died(subscription, message, reason: reason, error: error, isDeath: isDeath, at: at)
        case 10: return .redriven(subscription, try messages(&reader))
        case 11: return .purged(subscription, try messages(&reader))
        case 12:
            let message = try message(&reader, TopicID(rawValue: number))
            var slots: [SlotRecord] = []
            for _ in 0..<(try reader.count(itemBytes: 30)) { slots.append(try slot(&reader)) }
            return .restated(message, slots)
        case 13:
            var entries: [DedupEntry] = []
            for _ in 0..<(try reader.count(itemBytes: 20)) {
                entries.append(
                    DedupEntry(
                        dedupID: try reader.string(), message: MessageID(rawValue: try reader.u64()),
                        until: WallTime(milliseconds: try reader.i64())))
            }
            return .deduplicated(TopicID(rawValue: number), entries)
        case 14:
            let message = MessageID(rawValue: try reader.u64())
            return .counted(
                nextMessage: message, nextTopic: TopicID(rawValue: number),
                nextSubscription: SubscriptionID(rawValue: try reader.u32()))
        case 15: return .subscriptionSet(subscription, try reader.u8() == 1 ? try deliverySettings(&reader) : nil)
        default: throw Malformed(offset: start)
        }
    }

    private static func topicSettings(_ reader: inout FactReader) throws(Malformed) -> TopicSettings {
        var settings = TopicSettings()
        settings.messagesMax = try reader.u64()
        settings.dedupWindowMilliseconds = try reader.i64()
        settings.delivery = try deliverySettings(&reader)
        return settings
    }

    private static func deliverySettings(_ reader: inout FactReader) throws(Malformed) -> DeliverySettings {
        var settings = DeliverySettings()
        settings.attemptsMax = try reader.u32()
        settings.leaseMilliseconds = try reader.i64()
        settings.leaseTotalMilliseconds = try reader.i64()
        settings.backoffBaseMilliseconds = try reader.i64()
        settings.backoffCapMilliseconds = try reader.i64()
        settings.poisonDeathsMax = try reader.u32()
        return settings
    }

    private static func message(_ reader: inout FactReader, _ topic: TopicID) throws(Malformed) -> PublishedMessage {
        let id = MessageID(rawValue: try reader.u64())
        let publishedAt = WallTime(milliseconds: try reader.i64())
        let priority = try reader.u8()
        let deliverAt = try reader.time()
        let expiresAt = try reader.time()
        let dedupID = try reader.optional()
        var headers: [Header] = []
        for _ in 0..<(try reader.count(itemBytes: 4)) {
            headers.append(Header(try reader.string(), try reader.string()))
        }
        let body = try reader.bytes(try reader.count(itemBytes: 1))
        return PublishedMessage(
            id: id, topic: topic, publishedAt: publishedAt, priority: priority, deliverAt: deliverAt,
            expiresAt: expiresAt, dedupID: dedupID, headers: headers, body: body)
    }

    private static func slot(_ reader: inout FactReader) throws(Malformed) -> SlotRecord {
        SlotRecord(
            subscription: SubscriptionID(rawValue: try reader.u32()), attempts: try reader.u32(),
            deaths: try reader.u32(), redrives: try reader.u32(), lastError: try reader.optional(),
            readyAt: try reader.time(), deathReason: try reader.optional(),
            deadAt: WallTime(milliseconds: try reader.i64()))
    }

    private static func messages(_ reader: inout FactReader) throws(Malformed) -> [MessageID] {
        var messages: [MessageID] = []
        for _ in 0..<(try reader.count(itemBytes: 12)) {
            let first = try reader.u64()
            let count = try reader.u32()
            guard count <= 1 << 24, !first.addingReportingOverflow(UInt64(count)).overflow else {
                throw Malformed(offset: reader.offset)
            }
            for step in 0..<UInt64(count) { messages.append(MessageID(rawValue: first + step)) }
        }
        return messages
    }
}

private struct FactWriter {
    var bytes: [UInt8] = []

    mutating func u8(_ value: UInt8) { bytes.append(value) }
    mutating func u16(_ value: UInt16) {
        for shift in [0, 8] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    mutating func u32(_ value: UInt32) {
        for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    mutating func u64(_ value: UInt64) {
        u32(UInt32(truncatingIfNeeded: value))
        u32(UInt32(truncatingIfNeeded: value >> 32))
    }
    mutating func i64(_ value: Int64) { u64(UInt64(bitPattern: value)) }
    mutating func kind(_ kind: UInt8, _ number: UInt32) {
        u8(kind)
        u32(number)
    }
    mutating func kindAndValue(_ kind: UInt8, _ value: UInt64) {
        u8(kind)
        u64(value)
    }
    mutating func string(_ text: String) {
        precondition(text.utf8.count <= 65_535, "a logged text has at most 65535 bytes")
        u16(UInt16(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }
    mutating func optional(_ text: String?) {
        u8(text == nil ? 0 : 1)
        if let text { string(text) }
    }
}

private struct FactReader {
    private let payload: [UInt8]
    private(set) var offset: Int

    init(_ payload: [UInt8], from offset: Int) {
        self.payload = payload
        self.offset = offset
    }

    var isAtEnd: Bool { offset == payload.count }

    mutating func bytes(_ count: Int) throws(FactCodec.Malformed) -> [UInt8] {
        guard count <= payload.count - offset else { throw FactCodec.Malformed(offset: offset) }
        defer { offset += count }
        return Array(payload[offset..<offset + count])
    }

    private mutating func word(_ count: Int) throws(FactCodec.Malformed) -> UInt64 {
        guard count <= payload.count - offset else { throw FactCodec.Malformed(offset: offset) }
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(payload[offset + index]) << UInt64(8 * index) }
        offset += count
        return value
    }

    mutating func u8() throws(FactCodec.Malformed) -> UInt8 { UInt8(try word(1)) }
    mutating func u32() throws(FactCodec.Malformed) -> UInt32 { UInt32(try word(4)) }
    mutating func u64() throws(FactCodec.Malformed) -> UInt64 { try word(8) }
    mutating func i64() throws(FactCodec.Malformed) -> Int64 { Int64(bitPattern: try word(8)) }

    /// A count of items that must fit into what is left.
    mutating func count(itemBytes: Int) throws(FactCodec.Malformed) -> Int {
        let count = Int(try u32())
        guard count * itemBytes <= payload.count - offset else { throw FactCodec.Malformed(offset: offset) }
        return count
    }

    mutating func string() throws(FactCodec.Malformed) -> String {
        let start = offset
        let text = try bytes(Int(try word(2)))
        guard let string = String(validating: text, as: UTF8.self) else { throw FactCodec.Malformed(offset: start) }
        return string
    }

    mutating func optional() throws(FactCodec.Malformed) -> String? { try u8() == 1 ? try string() : nil }

    mutating func time() throws(FactCodec.Malformed) -> WallTime? {
        let milliseconds = try i64()
        return milliseconds == .min ? nil : WallTime(milliseconds: milliseconds)
    }
}
