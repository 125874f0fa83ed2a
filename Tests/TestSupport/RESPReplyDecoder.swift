package import BrokerProtocol

/// The client's side of RESP for tests: replies of both versions, in any pieces.
package struct RESPReplyDecoder {
    /// The bytes are no reply.
    package struct Malformed: Error, Hashable {
        package let what: String
    }

    private var buffer: [UInt8] = []
    private var position = 0
    private static let depthMax = 16

    package init() {}

    package var bufferedBytes: Int { buffer.count }

    package mutating func append(_ bytes: some Sequence<UInt8>) { buffer.append(contentsOf: bytes) }

    /// - Returns: The next whole reply; nil when more bytes are needed.
    package mutating func next() throws -> RESPValue? {
        position = 0
        guard let value = try value(depth: 0) else { return nil }
        buffer.removeFirst(position)
        return value
    }

    private mutating func value(depth: Int) throws -> RESPValue? {
        guard depth < Self.depthMax else { throw Malformed(what: "a reply of \(depth) levels") }
        guard let line = line(), let mark = line.first else { return nil }
        let rest = Array(line.dropFirst())
        let text = String(decoding: rest, as: UTF8.self)
        switch Unicode.Scalar(mark) {
        case "+": return .simple(text)
        case "-": return .error(RESPError(bytes: rest))
        case ":": return .integer(Int64(try integer(rest)))
        case "_": return .null
        case "#": return .boolean(text == "t")
        case "(": return .bigNumber(text)
        case ",":
            guard let number = Double(text) else { throw Malformed(what: text) }
            return .double(number)
        case "$": return try integer(rest) < 0 ? .null : try bytes(integer(rest)).map { .bulk($0) }
        case "=":
            guard let bytes = try bytes(integer(rest)) else { return nil }
            guard bytes.count >= 4 else { throw Malformed(what: "a text without format") }
            return .verbatim(format: String(decoding: bytes[..<3], as: UTF8.self), Array(bytes[4...]))
        case "*": return try integer(rest) < 0 ? .nullArray : try values(integer(rest), depth).map { .array($0) }
        case "~": return try values(integer(rest), depth).map { .set($0) }
        case ">": return try values(integer(rest), depth).map { .push($0) }
        case "%":
            guard let values = try values(2 * integer(rest), depth) else { return nil }
            return .map(stride(from: 0, to: values.count, by: 2).map { RESPField(values[$0], values[$0 + 1]) })
        default: throw Malformed(what: "a reply that begins with byte \(mark)")
        }
    }

    private mutating func line() -> ArraySlice<UInt8>? {
        guard let end = buffer[position...].firstIndex(of: 13), end + 1 < buffer.count else { return nil }
        defer { position = end + 2 }
        return buffer[position..<end]
    }

    private func integer(_ digits: [UInt8]) throws -> Int {
        guard let number = RESPWords.integer(digits) else { throw Malformed(what: "a number that is none") }
        return Int(number)
    }

    private mutating func bytes(_ count: Int) throws -> [UInt8]? {
        guard (0...1 << 30).contains(count) else { throw Malformed(what: "\(count) bytes") }
        guard buffer.count - position >= count + 2 else { return nil }
        guard buffer[position + count] == 13, buffer[position + count + 1] == 10 else {
            throw Malformed(what: "a text longer than its length")
        }
        defer { position += count + 2 }
        return Array(buffer[position..<position + count])
    }

    private mutating func values(_ count: Int, _ depth: Int) throws -> [RESPValue]? {
        guard (0...1 << 24).contains(count) else { throw Malformed(what: "\(count) values") }
        var values: [RESPValue] = []
        for _ in 0..<count {
            guard let value = try value(depth: depth + 1) else { return nil }
            values.append(value)
        }
        return values
    }
}
