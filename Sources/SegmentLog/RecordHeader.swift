import LinuxIO

/// The fixed part of a record; docs/LOG-FORMAT.md draws it.
struct RecordHeader: Equatable, Sendable {
    enum Kind: UInt8, Sendable {
        case payload = 1
        /// The last record of a segment that is full; it has no payload.
        case seal = 2
    }

    static let byteCount = 32
    static let magic: UInt16 = 0x4C52  // "RL"
    private static let blank = [UInt8](repeating: 0, count: byteCount)

    var kind: Kind
    var payloadBytes: Int
    /// Of the run that wrote the record.
    var epoch: UInt32
    var position: UInt64
    /// Everything below was synced before this record was written.
    var watermark: UInt64

    /// Header, payload and padding.
    static func recordBytes(payloadBytes: Int) -> Int { byteCount + (payloadBytes + 7) / 8 * 8 }

    var recordBytes: Int { Self.recordBytes(payloadBytes: payloadBytes) }

    /// Adds the whole record.
    func encode(payload: [UInt8], salt: UInt32, to bytes: inout [UInt8]) {
        assert(payload.count == payloadBytes)
        let start = bytes.count
        Self.makeRoom(in: &bytes)
        bytes.append(contentsOf: payload)
        seal(&bytes, at: start, salt: salt)
    }

    /// The payload is to follow, then ``seal(_:at:salt:)``.
    static func makeRoom(in bytes: inout [UInt8]) { bytes.append(contentsOf: blank) }

    /// Fills in the header of the record at `start`, whose payload ends the bytes, and adds the padding.
    func seal(_ bytes: inout [UInt8], at start: Int, salt: UInt32) {
        assert(watermark <= position)
        assert(bytes.count == start + Self.byteCount + payloadBytes)
        let padding = recordBytes - Self.byteCount - payloadBytes
        if padding > 0 { bytes.append(contentsOf: Self.blank[..<padding]) }
        var span = bytes.mutableSpan
        span.store(littleEndian: Self.magic, at: start + 4)
        span[start + 6] = kind.rawValue
        span.store(littleEndian: UInt32(payloadBytes), at: start + 8)
        span.store(littleEndian: epoch, at: start + 12)
        span.store(littleEndian: position, at: start + 16)
        span.store(littleEndian: watermark, at: start + 24)
        let checksum = Checksum.crc32c(bytes, from: start + 4, to: bytes.count, after: salt)
        bytes.store(littleEndian: checksum, at: start)
    }

    /// Reads the fields of the record that must stand at `position`, without its checksum.
    /// - Returns: Nil when the bytes cannot be such a record, whatever follows them.
    init?(in bytes: [UInt8], at offset: Int, position: UInt64, geometry: LogGeometry) {
        guard offset + Self.byteCount <= bytes.count,
            bytes[offset + 4] == UInt8(truncatingIfNeeded: Self.magic),
            bytes[offset + 5] == UInt8(truncatingIfNeeded: Self.magic >> 8),
            let kind = Kind(rawValue: bytes[offset + 6]), bytes[offset + 7] == 0,
            bytes.littleEndian(UInt64.self, at: offset + 16) == position
        else { return nil }
        self.kind = kind
        payloadBytes = Int(bytes.littleEndian(UInt32.self, at: offset + 8))
        epoch = bytes.littleEndian(UInt32.self, at: offset + 12)
        self.position = position
        watermark = bytes.littleEndian(UInt64.self, at: offset + 24)
        let room = geometry.segmentBytes - geometry.offset(of: position)
        switch kind {
        case .seal: guard payloadBytes == 0, Self.byteCount <= room else { return nil }
        case .payload: guard recordBytes + Self.byteCount <= room else { return nil }
        }
        guard epoch > 0, watermark <= position else { return nil }
    }

    init(kind: Kind, payloadBytes: Int, epoch: UInt32, position: UInt64, watermark: UInt64) {
        self.kind = kind
        self.payloadBytes = payloadBytes
        self.epoch = epoch
        self.position = position
        self.watermark = watermark
    }

    /// Whether the checksum is right; all of the record must be in `bytes`.
    func isIntact(in bytes: [UInt8], at offset: Int, salt: UInt32) -> Bool {
        let end = offset + recordBytes
        guard end <= bytes.count else { return false }
        let checksum = Checksum.crc32c(bytes, from: offset + 4, to: end, after: salt)
        return checksum == bytes.littleEndian(UInt32.self, at: offset)
    }
}
