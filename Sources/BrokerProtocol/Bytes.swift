/// Builds big-endian fields into an array. Inlined into its callers: it is most of what encoding costs.
public struct ByteWriter: Sendable {
    public var bytes: [UInt8]

    @inlinable public init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    @inlinable public mutating func u8(_ value: UInt8) { bytes.append(value) }

    @inlinable public mutating func u16(_ value: UInt16) {
        bytes.append(addingCapacity: 2) { room in
            room.append(UInt8(truncatingIfNeeded: value >> 8))
            room.append(UInt8(truncatingIfNeeded: value))
        }
    }

    @inlinable public mutating func u32(_ value: UInt32) {
        bytes.append(addingCapacity: 4) { room in room.append(bigEndian: value) }
    }

    @inlinable public mutating func u64(_ value: UInt64) {
        bytes.append(addingCapacity: 8) { room in room.append(bigEndian: value) }
    }

    @inlinable public mutating func i64(_ value: Int64) { u64(UInt64(bitPattern: value)) }

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
        var span = bytes.mutableSpan
        for index in 0..<4 { span[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * index)) }
    }
}

extension OutputSpan<UInt8> {
    @inlinable @inline(__always) package mutating func append(bigEndian value: UInt32) {
        append(UInt8(truncatingIfNeeded: value >> 24))
        append(UInt8(truncatingIfNeeded: value >> 16))
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    @inlinable @inline(__always) package mutating func append(bigEndian value: UInt64) {
        append(bigEndian: UInt32(truncatingIfNeeded: value >> 32))
        append(bigEndian: UInt32(truncatingIfNeeded: value))
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

    @usableFromInline let bytes: [UInt8]
    @usableFromInline let start: Int
    @usableFromInline let end: Int
    @usableFromInline var position: Int

    public init(_ bytes: [UInt8], _ range: Range<Int>) {
        precondition(range.upperBound <= bytes.count)
        self.bytes = bytes
        start = range.lowerBound
        end = range.upperBound
        position = start
    }

    public init(_ bytes: [UInt8]) { self.init(bytes, 0..<bytes.count) }

    @inlinable public var offset: Int { position - start }
    @inlinable public var remaining: Int { end - position }

    @inlinable mutating func take(_ count: Int, _ what: String) throws(Malformed) -> Int {
        if count > remaining { throw short(count, what) }
        defer { position += count }
        return position
    }

    @usableFromInline func short(_ count: Int, _ what: String) -> Malformed {
        Malformed(offset: offset, what: "\(what) needs \(count) bytes, \(remaining) are left")
    }

    public mutating func skip(_ count: Int) throws(Malformed) { _ = try take(count, "the header") }

    @inlinable public mutating func u8(_ what: String) throws(Malformed) -> UInt8 { bytes[try take(1, what)] }

    @inlinable public mutating func u16(_ what: String) throws(Malformed) -> UInt16 {
        let at = try take(2, what)
        return UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])
    }

    @inlinable public mutating func u32(_ what: String) throws(Malformed) -> UInt32 {
        let at = try take(4, what)
        // The last one first: one check of the bounds is enough.
        let low = UInt32(bytes[at + 3]) | UInt32(bytes[at + 2]) << 8
        return low | UInt32(bytes[at + 1]) << 16 | UInt32(bytes[at]) << 24
    }

    @inlinable public mutating func u64(_ what: String) throws(Malformed) -> UInt64 {
        let at = try take(8, what)
        var value: UInt64 = 0
        for index in at..<at + 8 { value = value << 8 | UInt64(bytes[index]) }
        return value
    }

    @inlinable public mutating func i64(_ what: String) throws(Malformed) -> Int64 {
        Int64(bitPattern: try u64(what))
    }

    public mutating func flag(_ what: @autoclosure () -> String) throws(Malformed) -> Bool {
        let at = offset
        switch try u8("a flag") {
        case 0: return false
        case 1: return true
        case let other: throw Malformed(offset: at, what: "\(what()) is \(other), not 0 or 1")
        }
    }

    public mutating func text(_ what: String) throws(Malformed) -> String {
        let count = Int(try u16(what))
        let at = try take(count, what)
        guard let text = try? UTF8Span(validating: bytes.span.extracting(at..<at + count)) else {
            throw Malformed(offset: at - start, what: "\(what) is not UTF-8")
        }
        return String(copying: text)
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
