import BrokerProtocol

/// A reply to a Redis client before the bodies in it are read from the log.
indirect enum RedisReply: Hashable, Sendable {
    case value(RESPValue)
    /// The body of a message.
    case body(Notice)
    /// A stream's entry: its id and its fields.
    case entry(Notice)
    /// What `BTAKE` hands out.
    case taken(Notice, key: [UInt8])
    case array([RedisReply])
    /// Streams with their entries: in RESP3 a map, in RESP2 an array of pairs.
    case streams([Stream])
    case fields([Field])
    /// From this reply on the connection speaks another version.
    case inVersion(RESPVersion, RedisReply)

    struct Stream: Hashable, Sendable {
        let key: [UInt8]
        let entries: [RedisReply]
    }

    /// Of a map whose keys are texts.
    struct Field: Hashable, Sendable {
        let name: String
        let value: RedisReply

        init(_ name: String, _ value: RedisReply) {
            self.name = name
            self.value = value
        }
    }

    static let ok = RedisReply.value(.ok)
    static let null = RedisReply.value(.null)
    static func integer(_ number: some BinaryInteger) -> RedisReply { .value(.integer(Int64(clamping: number))) }
    static func bulk(_ bytes: [UInt8]) -> RedisReply { .value(.bulk(bytes)) }
    static func bulk(_ text: String) -> RedisReply { .value(.bulk(text)) }
    static func error(_ error: RESPError) -> RedisReply { .value(.error(error)) }

    var isError: Bool {
        if case .value(.error) = self { true } else { false }
    }

    /// Of the messages and texts in it, roughly.
    var messageBytes: Int {
        switch self {
        case .value(let value): value.textBytes
        case .body(let notice), .entry(let notice), .taken(let notice, _): Int(notice.bytes)
        case .array(let replies): replies.reduce(0) { $0 + $1.messageBytes }
        case .streams(let streams): streams.reduce(0) { $1.entries.reduce($0) { $0 + $1.messageBytes } }
        case .fields(let fields): fields.reduce(0) { $0 + $1.value.messageBytes }
        case .inVersion(_, let reply): reply.messageBytes
        }
    }

    /// Puts the bodies in.
    /// - Parameter read: Gives the message of a notice.
    func value<Failure: Error>(
        in version: RESPVersion, _ read: (Notice) throws(Failure) -> PublishedMessage
    ) throws(Failure) -> RESPValue {
        switch self {
        case .value(let value): return value
        case .body(let notice): return .bulk(try read(notice).body)
        case .entry(let notice):
            let message = try read(notice)
            let fields = RedisFields.fields(of: message).map { RESPValue.bulk($0) }
            return .array([.bulk(EntryID(message).text), .array(fields)])
        case .taken(let notice, let key): return Self.taken(notice, try read(notice), key)
        case .array(let replies):
            var values: [RESPValue] = []
            values.reserveCapacity(replies.count)
            for reply in replies { values.append(try reply.value(in: version, read)) }
            return .array(values)
        case .streams(let streams):
            var fields: [RESPField] = []
            for stream in streams {
                let entries = try RedisReply.array(stream.entries).value(in: version, read)
                fields.append(RESPField(.bulk(stream.key), entries))
            }
            return version == .three ? .map(fields) : .array(fields.map { .array([$0.key, $0.value]) })
        case .fields(let fields):
            var values: [RESPField] = []
            for field in fields {
                values.append(RESPField(.bulk(field.name), try field.value.value(in: version, read)))
            }
            return .map(values)
        case .inVersion(_, let reply): return try reply.value(in: version, read)
        }
    }

    /// Message id, lease token, attempt, body, headers, key.
    private static func taken(_ notice: Notice, _ message: PublishedMessage, _ key: [UInt8]) -> RESPValue {
        let headers = message.headers.map { RESPField(.bulk($0.key), .bulk($0.value)) }
        return .array([
            .bulk("\(notice.id)"), .bulk("\(notice.lease)"), .integer(Int64(notice.attempt)), .bulk(message.body),
            .map(headers), .bulk(key),
        ])
    }
}

extension RESPValue {
    /// Of the texts in it, and something for each element; 0 for what is short in any case.
    fileprivate var textBytes: Int {
        switch self {
        case .bulk(let bytes), .verbatim(_, let bytes): bytes.count
        case .array(let values), .set(let values), .push(let values):
            values.reduce(0) { $0 + $1.textBytes + Self.elementBytes }
        case .map(let fields):
            fields.reduce(0) { $0 + $1.key.textBytes + $1.value.textBytes + 2 * Self.elementBytes }
        case .simple, .error, .integer, .null, .nullArray, .double, .boolean, .bigNumber: 0
        }
    }

    private static let elementBytes = 16
}
