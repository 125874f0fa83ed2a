/// What the log knows about itself outside its segments. It stands in two files that are written in turn, so that a
/// torn write leaves the other one.
struct Superblock: Equatable, Sendable {
    /// One sector.
    static let byteCount = 512
    private static let magic: UInt32 = 0x5055_5342  // "BSUP"

    var identity: LogIdentity
    /// Grows with each start.
    var epoch: UInt32
    /// Grows with each write; the higher one counts.
    var sequence: UInt64
    var segmentBytes: Int
    /// Everything below is synced. 0 while the log has no segment yet.
    var watermark: UInt64
    var firstSegment: UInt64
    /// The log ended in order, exactly at the watermark.
    var isClosed: Bool

    func encoded() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        bytes.store(littleEndian: epoch, at: 12)
        identity.store(in: &bytes, at: 16)
        bytes.store(littleEndian: sequence, at: 32)
        bytes.store(littleEndian: UInt64(segmentBytes), at: 40)
        bytes.store(littleEndian: watermark, at: 48)
        bytes.store(littleEndian: firstSegment, at: 56)
        bytes[64] = isClosed ? 1 : 0
        LogBlock.seal(&bytes, magic: Self.magic)
        return bytes
    }

    init(identity: LogIdentity, epoch: UInt32, segmentBytes: Int) {
        self.identity = identity
        self.epoch = epoch
        self.segmentBytes = segmentBytes
        sequence = 0
        watermark = 0
        firstSegment = 0
        isClosed = false
    }

    init(_ bytes: [UInt8]) throws(LogBlock.Fault) {
        try LogBlock.check(bytes, count: Self.byteCount, magic: Self.magic)
        epoch = bytes.littleEndian(UInt32.self, at: 12)
        identity = LogIdentity(in: bytes, at: 16)
        sequence = bytes.littleEndian(UInt64.self, at: 32)
        watermark = bytes.littleEndian(UInt64.self, at: 48)
        firstSegment = bytes.littleEndian(UInt64.self, at: 56)
        isClosed = bytes[64] != 0
        guard let segmentBytes = Int(exactly: bytes.littleEndian(UInt64.self, at: 40)),
            segmentBytes >= 16 << 10, segmentBytes % LogGeometry.headerBytes == 0
        else { throw .invalid(reason: "it names an impossible segment size") }
        self.segmentBytes = segmentBytes
        guard LogGeometry(segmentBytes: segmentBytes).isValid(segment: firstSegment), epoch > 0 else {
            throw .invalid(reason: "it names an impossible segment or epoch")
        }
    }
}
