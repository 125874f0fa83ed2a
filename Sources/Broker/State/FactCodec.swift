import BrokerProtocol

/// Facts as bytes: what stands in a log record's payload. Big endian; docs/LOG-FORMAT.md draws it.
///
/// A payload is a list of facts without a count: it ends where the record ends.
enum FactCodec {
    typealias Malformed = ByteReader.Malformed

    /// - Returns: The payload, and the offset of each fact in it.
    static func encode(_ facts: [Fact]) -> (payload: [UInt8], offsets: [Int]) {
        var writer = ByteWriter()
        let offsets = encode(facts, into: &writer)
        return (writer.bytes, facts.count == 1 ? [0] : offsets)
    }

    /// - Returns: Where each fact stands behind the first one; empty for a single fact, which stands at 0.
    static func encode(_ facts: [Fact], into writer: inout ByteWriter) -> [Int] {
        let start = writer.bytes.count
        var offsets: [Int] = []
        for fact in facts {
            if facts.count > 1 { offsets.append(writer.bytes.count - start) }
            writer.u8(fact.kind)
            fact.encodeFields(into: &writer)
        }
        return offsets
    }

    /// The same as a `published` fact of a plain message.
    static func encode(
        _ plain: PlainPublish, as id: MessageID, in topic: TopicID, at time: WallTime, into writer: inout ByteWriter
    ) {
        writer.bytes.append(addingCapacity: plainHeadBytes) { room in
            room.append(6)
            room.append(bigEndian: id.rawValue)
            room.append(bigEndian: topic.rawValue)
            room.append(bigEndian: UInt64(bitPattern: time.milliseconds))
            room.append(plain.priority)
            // Ordering key, deliver-at, expires-at, dedup id.
            room.append(bigEndian: 0 as UInt32)
        }
        writer.bytes.append(contentsOf: plain.bytes[plain.content])
    }

    private static let plainHeadBytes = 26

    static func decode(_ payload: [UInt8]) throws(Malformed) -> [(fact: Fact, offset: Int)] {
        var reader = ByteReader(payload)
        var facts: [(fact: Fact, offset: Int)] = []
        while reader.remaining > 0 {
            let offset = reader.offset
            facts.append((try Fact(reading: &reader), offset))
        }
        return facts
    }

    /// The same without headers and body, and where these two stand in `bytes`.
    /// - Parameter range: Of the payload in `bytes`.
    static func outline(
        in bytes: [UInt8], _ range: Range<Int>, at offset: Int
    ) throws(Malformed) -> (PublishedMessage, content: Range<Int>) {
        guard (0..<range.count).contains(offset) else { throw Malformed(offset: offset, what: "no fact is here") }
        let fact = range.lowerBound + offset
        var reader = ByteReader(bytes, fact..<range.upperBound)
        switch try reader.u8("fact kind") {
        case 6, 13: break
        default: throw Malformed(offset: 0, what: "the fact here is no message")
        }
        let head = try reader.messageHead()
        let start = fact + reader.offset
        try reader.skipHeadersAndBody()
        return (head, start..<fact + reader.offset)
    }

    /// The message that a `published` or `restated` fact at this offset carries.
    static func message(in payload: [UInt8], at offset: Int) throws(Malformed) -> PublishedMessage {
        guard (0..<payload.count).contains(offset) else { throw Malformed(offset: offset, what: "no fact is here") }
        var reader = ByteReader(payload, offset..<payload.count)
        switch try Fact(reading: &reader) {
        case .published(let message), .restated(let message, _): return message
        default: throw Malformed(offset: offset, what: "the fact here is no message")
        }
    }
}

extension Fact {
    /// The number in the log. Never reused for another meaning.
    fileprivate var kind: UInt8 {
        switch self {
        case .topicDefined: 1
        case .topicDeleted: 2
        case .subscriptionDefined: 3
        case .subscriptionSet: 4
        case .subscriptionDeleted: 5
        case .published: 6
        case .acknowledged: 7
        case .attempted: 8
        case .returned: 9
        case .died: 10
        case .redriven: 11
        case .purged: 12
        case .restated: 13
        case .deduplicated: 14
        case .counted: 15
        case .jobStarted: 16
        case .jobMoved: 17
        case .jobEnded: 18
        case .rescheduled: 19
        case .cancelled: 20
        case .scheduleDefined: 21
        case .scheduleDeleted: 22
        case .scheduleFired: 23
        case .paused: 24
        case .keyParked: 25
        case .keyReleased: 26
        case .subscriptionFiltered: 27
        case .assigned: 28
        case .patternDefined: 29
        case .memberDefined: 30
        case .forgotten: 31
        case .clocked: 32
        case .handed: 33
        }
    }

    fileprivate func encodeFields(into writer: inout ByteWriter) {
        switch self {
        case .topicDefined(let id, let name, let settings):
            writer.u32(id.rawValue)
            writer.text(name.text)
            writer.settings(settings)
        case .topicDeleted(let id): writer.u32(id.rawValue)
        case .subscriptionDefined(let id, let topic, let name, let start, let origin):
            writer.u32(id.rawValue)
            writer.u32(topic.rawValue)
            writer.text(name)
            writer.start(start)
            writer.u8(origin.rawValue)
        case .subscriptionSet(let id, let settings):
            writer.u32(id.rawValue)
            writer.settings(settings)
        case .subscriptionDeleted(let id): writer.u32(id.rawValue)
        case .published(let message): writer.message(message)
        case .acknowledged(let id, let messages), .attempted(let id, let messages), .redriven(let id, let messages),
            .purged(let id, let messages):
            writer.u32(id.rawValue)
            writer.ranges(messages)
        case .returned(let id, let message, let back):
            writer.u32(id.rawValue)
            writer.u64(message.rawValue)
            writer.returned(back)
        case .died(let id, let message, let death):
            writer.u32(id.rawValue)
            writer.u64(message.rawValue)
            writer.death(death)
        case .restated(let message, let slots):
            writer.message(message)
            writer.u32(UInt32(slots.count))
            for slot in slots { writer.slot(slot) }
        case .keyParked(let id, let key, let message): writer.keyParked(id, key, message)
        case .keyReleased(let id, let keys): writer.keyReleased(id, keys)
        case .deduplicated(let topic, let entries):
            writer.u32(topic.rawValue)
            writer.u32(UInt32(entries.count))
            for entry in entries {
                writer.text(entry.dedupID)
                writer.u64(entry.message.rawValue)
                writer.i64(entry.until.milliseconds)
            }
        case .subscriptionFiltered(let id, let filter):
            writer.u32(id.rawValue)
            writer.headers(filter.pairs)
        case .assigned(let id, let messages, let rest):
            writer.u32(id.rawValue)
            writer.ranges(messages)
            writer.reading(rest)
        case .patternDefined(let id, let name): writer.pattern(id, name)
        case .memberDefined(let id, let topic, let pattern, let start): writer.member(id, topic, pattern, start)
        case .forgotten(let id, let last):
            writer.u32(id.rawValue)
            writer.u64(last.rawValue)
        case .counted(let message, let topic, let subscription):
            writer.u64(message.rawValue)
            writer.u32(topic.rawValue)
            writer.u32(subscription.rawValue)
        case .jobStarted(let job): writer.job(job)
        case .jobMoved(let id, let next, let moved):
            writer.u64(id)
            writer.u64(next.rawValue)
            writer.u64(moved)
        case .jobEnded(let id): writer.u64(id)
        case .cancelled(let messages): writer.ranges(messages)
        case .rescheduled(let message, let deliverAt):
            writer.u64(message.rawValue)
            writer.i64(deliverAt.milliseconds)
        case .scheduleDefined(let schedule, let progress):
            writer.schedule(schedule)
            writer.progress(progress)
        case .scheduleDeleted(let name): writer.text(name.text)
        case .scheduleFired(let name, let tick, let refusal):
            writer.text(name.text)
            writer.i64(tick.milliseconds)
            writer.optionalText(refusal)
        case .paused(let place, let scope, let pause): writer.paused(place, scope, pause)
        case .clocked(let time): writer.i64(time.milliseconds)
        case .handed(let id, let messages, let consumer):
            writer.u32(id.rawValue)
            writer.ranges(messages)
            writer.text(consumer)
        }
    }

    fileprivate init(reading reader: inout ByteReader) throws(FactCodec.Malformed) {
        let at = reader.offset
        switch try reader.u8("fact kind") {
        case 1:
            let (id, name, at) = (try reader.topicID(), try reader.topic(), reader.offset)
            let settings = try reader.topicSettings()
            try Self.demandReadable(settings.problem, at)
            self = .topicDefined(id, name, settings)
        case 2: self = .topicDeleted(try reader.topicID())
        case 3: self = try .subscriptionDefined(reading: &reader)
        case 4:
            let (id, at) = (try reader.subscriptionID(), reader.offset)
            let settings = try reader.optionalDeliverySettings()
            try Self.demandReadable(settings?.problem, at)
            self = .subscriptionSet(id, settings)
        case 5: self = .subscriptionDeleted(try reader.subscriptionID())
        case 6: self = .published(try reader.message())
        case 7: self = .acknowledged(try reader.subscriptionID(), try reader.ranges())
        case 8: self = .attempted(try reader.subscriptionID(), try reader.ranges())
        case 9: self = .returned(try reader.subscriptionID(), try reader.messageID(), try reader.returned())
        case 10: self = .died(try reader.subscriptionID(), try reader.messageID(), try reader.death())
        case 11: self = .redriven(try reader.subscriptionID(), try reader.ranges())
        case 12: self = .purged(try reader.subscriptionID(), try reader.ranges())
        case 13:
            let message = try reader.message()
            var slots: [SlotRecord] = []
            for _ in 0..<(try reader.count("slots", itemBytes: 20)) { slots.append(try reader.slot()) }
            self = .restated(message, slots)
        case 14:
            let topic = try reader.topicID()
            var entries: [DedupEntry] = []
            for _ in 0..<(try reader.count("dedup entries", itemBytes: 18)) {
                entries.append(
                    DedupEntry(
                        dedupID: try reader.text("dedup id"), message: try reader.messageID(),
                        until: try reader.time("until")))
            }
            self = .deduplicated(topic, entries)
        case 15:
            self = .counted(
                nextMessage: try reader.messageID(), nextTopic: try reader.topicID(),
                nextSubscription: try reader.subscriptionID())
        case 16: self = .jobStarted(try reader.job())
        case 17:
            self = .jobMoved(try reader.u64("job"), next: try reader.messageID(), moved: try reader.u64("moved"))
        case 18: self = .jobEnded(try reader.u64("job"))
        case 19: self = .rescheduled(try reader.messageID(), deliverAt: try reader.time("deliver-at"))
        case 20: self = .cancelled(try reader.ranges())
        case 21: self = .scheduleDefined(try reader.schedule(), try reader.progress())
        case 22: self = .scheduleDeleted(try reader.scheduleName())
        case 23:
            self = .scheduleFired(
                try reader.scheduleName(), try reader.time("tick"), refusal: try reader.optionalText("refusal"))
        case 24: self = .paused(try reader.pausePlace(), try reader.pauseScope(), try reader.pause())
        case 25: self = try .keyParked(reading: &reader)
        case 26: self = .keyReleased(try reader.subscriptionID(), try reader.keys())
        case 27: self = .subscriptionFiltered(try reader.subscriptionID(), MessageFilter(try reader.headers()))
        case 28:
            self = .assigned(try reader.subscriptionID(), try reader.ranges(), rest: try reader.reading())
        case 29: self = try .patternDefined(reading: &reader)
        case 30: self = try .memberDefined(reading: &reader)
        case 31: self = .forgotten(try reader.topicID(), through: try reader.messageID())
        case 32: self = .clocked(try reader.time("time"))
        case 33:
            self = .handed(try reader.subscriptionID(), try reader.ranges(), consumer: try reader.text("consumer"))
        case let other: throw FactCodec.Malformed(offset: at, what: "there is no fact of kind \(other)")
        }
    }

    /// A setting that this version does not know must not be forgotten by it.
    private static func demandReadable(_ problem: BrokerError?, _ offset: Int) throws(FactCodec.Malformed) {
        if let problem { throw FactCodec.Malformed(offset: offset, what: problem.message) }
    }

    private static func subscriptionDefined(
        reading reader: inout ByteReader
    ) throws(FactCodec.Malformed) -> Fact {
        let id = try reader.subscriptionID()
        let topic = try reader.topicID()
        let at = reader.offset
        let name = try reader.text("subscription name")
        guard TopicName(name) != nil else { throw FactCodec.Malformed(offset: at, what: "no subscription's name") }
        let start = try reader.startPosition()
        let isAsked = try reader.flag("origin")
        return .subscriptionDefined(id, topic, name: name, start: start, isAsked ? .asked : .implicit)
    }
}
