import BrokerProtocol

/// How the fields of a stream's entry and a message are each other, without loss.
///
/// The body is the field `body`, or the first field when none has that name; the others are headers in order. The
/// header `redis-body: INDEX:NAME` says which field the body was, when it was not `body` at index 0. Fields that
/// headers cannot carry make an entry that is stored whole: a RESP array in the body, and the header `redis-body: *`.
enum RedisFields {
    static let header = "redis-body"
    private static let bodyName = Array("body".utf8)

    /// - Parameters:
    ///   - fields: Names and values by turns; at least one pair.
    ///   - headersBytesMax: Of the broker.
    static func message(_ fields: ArraySlice<[UInt8]>, headersBytesMax: Int) -> (body: [UInt8], headers: [Header]) {
        let fields = Array(fields)
        let names = stride(from: 0, to: fields.count, by: 2)
        let index = names.first { fields[$0] == bodyName } ?? 0
        var headers: [Header] = []
        var bytes = 0
        func add(_ header: Header) {
            headers.append(header)
            bytes += header.key.utf8.count + header.value.utf8.count + 4
        }
        for at in names where at != index {
            guard let key = String(validating: fields[at], as: UTF8.self),
                let value = String(validating: fields[at + 1], as: UTF8.self), !key.utf8.elementsEqual(header.utf8)
            else { return whole(fields) }
            add(Header(key, value))
        }
        if index != 0 || fields[0] != bodyName {
            guard let name = String(validating: fields[index], as: UTF8.self) else { return whole(fields) }
            add(Header(header, "\(index / 2):\(name)"))
        }
        return bytes > headersBytesMax ? whole(fields) : (fields[index + 1], headers)
    }

    private static func whole(_ fields: [[UInt8]]) -> (body: [UInt8], headers: [Header]) {
        (RESPValue.array(fields.map { .bulk($0) }).bytes(as: .two), [Header(header, "*")])
    }

    /// Names and values by turns.
    static func fields(of message: PublishedMessage) -> [[UInt8]] {
        var others = message.headers
        var place: String?
        // XADD puts it last; one of somebody else's that makes no sense is a header like others.
        if let last = others.last, last.key.utf8.elementsEqual(header.utf8) { place = last.value }
        if place == "*", others.count == 1, let fields = entry(message.body) { return fields }
        var index = 0
        var name = bodyName
        if let place, let (at, text) = split(place), at < others.count {
            others.removeLast()
            index = at
            name = text
        }
        var fields = others.flatMap { [Array($0.key.utf8), Array($0.value.utf8)] }
        fields.insert(contentsOf: [name, message.body], at: 2 * index)
        return fields
    }

    private static func split(_ place: String) -> (index: Int, name: [UInt8])? {
        let bytes = Array(place.utf8)
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), let index = RESPWords.integer(bytes[..<colon]),
            index >= 0
        else { return nil }
        return (Int(index), Array(bytes[(colon + 1)...]))
    }

    /// - Returns: Nil when the body is no entry that was stored whole.
    private static func entry(_ body: [UInt8]) -> [[UInt8]]? {
        let limits = RESPCommandDecoder.Limits(bulkBytesMax: body.count, commandBytesMax: body.count)
        var decoder = RESPCommandDecoder(limits: limits)
        guard body.first == UInt8(ascii: "*") else { return nil }
        decoder.append(body)
        guard let command = try? decoder.next(), command.byteCount == body.count,
            command.arguments.count.isMultiple(of: 2)
        else { return nil }
        return command.arguments
    }
}
