/// Builds big-endian fields into an array.
public struct ByteWriter: Sendable {
    public var bytes: [UInt8]

    public init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    public mutating func u8(_ value: UInt8) { bytes.append(value) }

    public mutating func u16(_ value: UInt16) {
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    public mutating func u32(_ value: UInt32) {
        u16(UInt16(truncatingIfNeeded: value >> 16))
        u16(UInt16(truncatingIfNeeded: value))
    }

    public mutating func u64(_ value: UInt64) {
        u32(UInt32(truncatingIfNeeded: value >> 32))
        u32(UInt32(truncatingIfNeeded: value))
    }

    public mutating func i64(_ value: Int64) { u64(UInt64(bitPattern: value)) }

    /// A u16 length and the text's UTF-8. What passes 65,535 bytes is left out, at a character's end.
    public mutating func text(_ text: String) {
        let count = text.utf8.count
        if count <= 65_535 {
            u16(UInt16(count))
            bytes.append(contentsOf: text.utf8)
        } else {
            self.text(text.clipped(toBytes: 65_535))
        }
    }

    /// A u32 length and the bytes.
    public mutating func blob(_ blob: [UInt8]) {
        u32(UInt32(blob.count))
        bytes.append(contentsOf: blob)
    }

    /// Writes a u32 that became known later.
    public mutating func patch(_ value: UInt32, at offset: Int) {
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * index)) }
    }
}

extension String {
    /// The longest prefix of whole characters with at most `limit` bytes of UTF-8.
    public func clipped(toBytes limit: Int) -> String {
        if utf8.count <= limit { return self }
        var count = 0
        let end = indices.first { index in
            count += self[index].utf8.count
            return count > limit
        }
        return String(self[..<(end ?? endIndex)])
    }
}

/// Reads big-endian fields from a part of an array. Total: every input gives a value or an error, and nothing is
/// allocated before its length was checked against the bytes that are there.
public struct ByteReader: Sendable {
    /// The field at `offset` (bytes from the start of the part) is not what it must be.
    public struct Malformed: Error, Hashable, Sendable {
        public let offset: Int
        public let what: String
        public init(offset: Int, what: String) {
            self.offset = offset
            self.what = what
        }
    }

    private let bytes: [UInt8]
    private let start: Int
    private let end: Int
    private var position: Int

    public init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        start = range.lowerBound
        end = range.upperBound
        position = start
    }

    public init(_ bytes: [UInt8]) { self.init(bytes, 0..<bytes.count) }

    public var offset: Int { position - start }
    public var remaining: Int { end - position }

    private mutating func take(_ count: Int, _ what: String) throws(Malformed) -> Int {
        guard count <= remaining else {
            throw Malformed(offset: offset, what: "\(what) needs \(count) bytes, \(remaining) are left")
        }
        defer { position += count }
        return position
    }

    public mutating func skip(_ count: Int) throws(Malformed) { _ = try take(count, "the header") }

    public mutating func u8(_ what: String) throws(Malformed) -> UInt8 { bytes[try take(1, what)] }

    public mutating func u16(_ what: String) throws(Malformed) -> UInt16 {
        let at = try take(2, what)
        return UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])
    }

    public mutating func u32(_ what: String) throws(Malformed) -> UInt32 {
        let at = try take(4, what)
        var value: UInt32 = 0
        for index in at..<at + 4 { value = value << 8 | UInt32(bytes[index]) }
        return value
    }

    public mutating func u64(_ what: String) throws(Malformed) -> UInt64 {
        let at = try take(8, what)
        var value: UInt64 = 0
        for index in at..<at + 8 { value = value << 8 | UInt64(bytes[index]) }
        return value
    }

    public mutating func i64(_ what: String) throws(Malformed) -> Int64 { Int64(bitPattern: try u64(what)) }

    public mutating func flag(_ what: String) throws(Malformed) -> Bool {
        let at = offset
        switch try u8(what) {
        case 0: return false
        case 1: return true
        case let other: throw Malformed(offset: at, what: "\(what) is \(other), not 0 or 1")
        }
    }

    public mutating func text(_ what: String) throws(Malformed) -> String {
        let count = Int(try u16(what))
        let at = try take(count, what)
        guard let text = String(validating: bytes[at..<at + count], as: UTF8.self) else {
            throw Malformed(offset: at - start, what: "\(what) is not UTF-8")
        }
        return text
    }

    public mutating func blob(_ what: String) throws(Malformed) -> [UInt8] {
        let count = Int(try u32(what))
        let at = try take(count, what)
        return Array(bytes[at..<at + count])
    }

    /// A count of items, each of at least `itemBytes`, that must fit into what is left.
    public mutating func count(_ what: String, itemBytes: Int) throws(Malformed) -> Int {
        let at = offset
        let count = Int(try u32(what))
        guard count <= remaining / itemBytes else {
            throw Malformed(offset: at, what: "\(count) \(what) cannot fit into \(remaining) bytes")
        }
        return count
    }

    public func expectEnd() throws(Malformed) {
        if remaining > 0 { throw Malformed(offset: offset, what: "\(remaining) bytes too many") }
    }
}
